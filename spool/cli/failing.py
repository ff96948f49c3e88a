"""How an error is told: one line on stderr, or one JSON object, and the exit code."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from spool.cli.common import json_line
from spool.cli.text import one_line
from spool.errors import SpoolError

# What is typed where spool has no such option.
_MEANT: Final = {"--to": "TO has no option, it comes first: `spool send TO -s SUBJECT`"}


def tell(exc: Exception, *, as_json: bool, command: str = "") -> int:
    """Print what went wrong and what to do; the exit code.

    Args:
        command: what was called, for an error that does not know.
    """
    kind, message, hint, id, code = _known(exc, command)
    if as_json:
        error = {"kind": kind, "message": one_line(message), "hint": one_line(hint), "id": id}
        click.echo(json_line({"error": error}), err=True, nl=False)
    else:
        text = one_line(message)
        if hint and hint not in text:
            text += f"; {one_line(hint)}"
        click.echo(f"spool: {text}", err=True)
    if os.environ.get("SPOOL_DEBUG") == "1":
        import traceback

        traceback.print_exception(exc)
    return code


def _known(exc: Exception, command: str) -> tuple[str, str, str, str | None, int]:
    match exc:
        case SpoolError():
            return exc.kind, exc.message, exc.hint, exc.id, exc.exit_code
        case click.UsageError():
            return "usage", _usage(exc, command), _see(exc, command), None, 2
        case click.ClickException():
            return "usage", exc.format_message().rstrip("."), "", None, exc.exit_code
        case OSError():
            named = f"{exc.filename}: " if exc.filename else ""
            return SpoolError.kind, f"{named}{exc.strerror or exc}", "SPOOL_DEBUG=1 shows where", None, 1
    said = f"a defect in spool: {type(exc).__name__}: {exc}"
    return "defect", said, "please report it with the traceback that SPOOL_DEBUG=1 shows", None, 1


def _usage(exc: click.UsageError, command: str) -> str:
    named = _command(exc, command)
    said = _meant(exc) or exc.format_message().rstrip(".")
    return f"{named}: {said}" if named else said


def _meant(exc: click.UsageError) -> str | None:
    return _MEANT.get(exc.option_name) if isinstance(exc, click.NoSuchOption) else None


def _see(exc: click.UsageError, command: str) -> str:
    if _meant(exc) or "did you mean" in exc.format_message().lower():
        return ""
    return f"see `{' '.join(['spool', _command(exc, command)]).strip()} --help`"


def _command(exc: click.UsageError, command: str) -> str:
    path: Any = exc.ctx.command_path if exc.ctx is not None else command
    return str(path).removeprefix("spool").strip()
