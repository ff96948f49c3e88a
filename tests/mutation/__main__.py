"""`python -m tests.mutation --help`; docs/mutation.md says what it found."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.mutation import lines as python
from tests.mutation.running import Limits, Runs, Source
from tests.mutation.statements import Statements

_PATH = click.Path(path_type=Path)


def _asked(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("tests", nargs=-1, required=True),
        click.argument("out", type=_PATH),
        click.option("--only", multiple=True, help="A module; may be given more than once."),
        click.option("--share", default=1.0, help="How much of the mutants to try."),
        click.option("--seed", default=1, help="Which of them."),
        click.option("--most", default=1000, help="How many tests a mutant meets at most."),
        click.option("--jobs", default=1, help="How many at a time."),
        click.option("--again", type=_PATH, help="Only what survived as this OUT says."),
    ):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Change the code in small ways, one at a time, and write down which changes no test notices.

    OUT gets a line of JSON for each mutant, and OUT.seen keeps which test runs what: take it away when tests
    or code have changed. A run that was ended goes on where it was.
    """


@main.command()
@_asked
def statements(out: Path, tests: tuple[str, ...], only: tuple[str, ...], **limits: Any) -> None:
    """Change the SQL that the store runs. A module is, say, sqlite_outbox; without any, all of them."""
    _run(Statements(only), out, tests, **limits)


@main.command()
@click.argument("folder", type=_PATH)
@click.argument("modules", nargs=-1, required=True)
def mutate(folder: Path, modules: tuple[str, ...]) -> None:
    """Copy the checkout into the new FOLDER, with mutmut's mutants of these files (spool/outbox.py)."""
    click.echo(f"now run `lines` in {python.mutate(folder.absolute(), modules)}")


@main.command()
@_asked
def lines(out: Path, tests: tuple[str, ...], only: tuple[str, ...], **limits: Any) -> None:
    """Try mutmut's mutants of Python modules, each named as spool.outbox."""
    _run(python.Lines(only), out, tests, **limits)


def _run(
    source: Source,
    out: Path,
    tests: tuple[str, ...],
    *,
    share: float,
    seed: int,
    most: int,
    jobs: int,
    again: Path | None,
) -> None:
    limits = Limits(share=share, seed=seed, tests=most, jobs=jobs, again=again)
    runs = Runs(source, limits, seen=Path(f"{out}.seen"), out=out)
    # The long words on a failure are read by nobody, and take longer than most tests.
    quiet = ("--rootdir=.", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist", "-q")
    sys.exit(pytest.main([*quiet, *tests], plugins=[runs]))


if __name__ == "__main__":
    main()
