"""Where spool lies in an account: environments, a link to the one in use, and marks of unfinished ones.

Under ~/.local/share/spool: `versions/NAME` is an environment, `versions/NAME.unfinished` says that it
is not whole yet, and `current` is a link to the one in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = ".unfinished"


class Trouble(Exception):
    """It cannot go on; the text is for the person at the other end."""


class Place:
    """Where things lie in an account's home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / ".local" / "share" / "spool"
        self.versions = self.root / "versions"
        self.current = self.root / "current"
        self.link = home / ".local" / "bin" / "spool"


def make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it that are missing; remember which."""
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o755)
            made.append(each)


@contextlib.contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the only lock; the kernel lets go of it however the process ends."""
    folder = os.open(place.versions, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise Trouble("another installation is under way there; try again when it is over") from exc
        yield
    finally:
        os.close(folder)


def tidy(place: Place) -> list[Path]:
    """Take away what killed runs left; the folders that they had made, which may be empty now."""
    made: list[Path] = []
    for mark in sorted(place.versions.glob("*" + MARK)):
        env = mark.with_name(mark.name.removesuffix(MARK))
        if not (place.current.is_symlink() and place.current.readlink().name == env.name):
            shutil.rmtree(env, ignore_errors=True)
        with contextlib.suppress(ValueError):  # it was killed while it wrote the mark
            made += [Path(path) for path in json.loads(mark.read_text())]
        mark.unlink()
    return made


def switch(place: Place, name: str) -> None:
    """Let `current` and the command name the new environment; the first of the two is what counts."""
    relink(place.current, Path("versions", name))
    relink(place.link, place.current / "bin" / "spool")


def relink(link: Path, target: Path | None) -> None:
    """Make a link say something else, or go, in one step."""
    if target is None:
        link.unlink(missing_ok=True)
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def forget_old(place: Place, keep: set[str]) -> None:
    """Remove environments older than the one before: processes of that may still run."""
    for env in place.versions.iterdir():
        if env.name not in keep:
            shutil.rmtree(env, ignore_errors=True)


def undo(place: Place, name: str, before: dict[Path, Path | None], made: list[Path]) -> None:
    """Leave the account as it was found, with the environment that worked before."""
    if place.current.is_symlink() and place.current.readlink().name == name:
        for link, target in before.items():
            relink(link, target)
    shutil.rmtree(place.versions / name, ignore_errors=True)
    (place.versions / (name + MARK)).unlink(missing_ok=True)
    remove_folders(made)


def remove_folders(made: list[Path]) -> None:
    """Take folders away again, the newest first, but for what somebody else has put something into."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()
