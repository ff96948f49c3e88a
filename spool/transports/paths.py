"""A path in a files peer's folder: taken apart, and made fit for an error message."""

from __future__ import annotations

from spool.errors import FileTrouble


def split(path: str) -> tuple[str, str]:
    """Return the folder and the name in it.

    Raises:
        FileTrouble: it names no file in a folder.
    """
    folder, slash, name = path.rpartition("/")
    if not slash or name in ("", ".", "..") or "\0" in path:
        raise FileTrouble(f"{shown(path)}: names no file in a folder")
    return folder or "/", name


def shown(path: str) -> str:
    """The path with what does not print, or is no UTF-8, escaped: others choose the names."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in path
    )
