"""What is sent from files and standard input: a body, one message, or many."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from spool.cli.declared import usage
from spool.errors import BadInput, BadMessage, SpoolError

if TYPE_CHECKING:
    from spool.api import Posted, Spool

encode: Final = msgspec.json.encode
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def body_of(text: str | None, file: str | None) -> str | None:
    """The body: as given, or from a file; `-` is standard input.

    Raises:
        click.UsageError: both were given.
        BadInput: it cannot be read, or is not UTF-8.
    """
    if text is not None and file is not None:
        raise usage("-b and --body-file: give one of them")
    if text is not None and text != "-":
        return text
    if text is None and file is None:
        return None
    return text_from("-" if file is None else file)


def text_from(name: str) -> str:
    """The text of a file; `-` is standard input.

    Raises:
        BadInput: it cannot be read, or is not UTF-8.
    """
    try:
        return _read(name).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadInput(f"{_called(name)} is not UTF-8 text (byte {exc.start})") from exc


def texts_of(draft: Mapping[str, Any]) -> list[str]:
    """The text of a draft, to look for credentials in."""
    return [encode(draft).decode(), *(v for v in draft.values() if isinstance(v, str))]


class Letters(NamedTuple):
    """Messages from a file: each with the number of its line, 0 for one message over many lines."""

    name: str
    found: list[tuple[int, bytes]]

    def texts(self) -> list[str]:
        """The text of each, to look for credentials in."""
        return [text.decode("utf-8", "replace") for _, text in self.found]

    def post(self, spool: Spool, allow_secrets: bool) -> list[Posted]:
        """Send all of them in one commit, their bytes as they are.

        Raises:
            SpoolError: as `Spool.post`, with the line it is about.
        """
        at = 0

        def one_by_one() -> Iterator[bytes]:
            nonlocal at
            for line, text in self.found:
                at = line
                yield text

        try:
            return spool.post(one_by_one(), allow_secrets=allow_secrets)
        except SpoolError as exc:
            line = self._line_of(exc.id) or at
            if line and isinstance(exc, BadInput):
                exc.message = f"line {line}: {exc.message}"
            raise

    def _line_of(self, id: str | None) -> int:
        # The last one that has it: an id that stands there twice is wrong the second time.
        for line, text in reversed(self.found):
            if (
                id is not None
                and _is_object(text)
                and bytes(_OBJECT.decode(text).get("id", b"")) == encode(id)
            ):
                return line
        return 0


def from_file(name: str) -> Letters:
    """Read one JSON object, or one a line; `-` is standard input.

    Raises:
        BadInput: it cannot be read, or holds nothing.
    """
    whole = _read(name)
    lines = [(n, line) for n, line in enumerate(whole.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise BadInput(f"{_called(name)} holds no message", hint="write one JSON object, or one a line")
    if len(lines) > 1 and not _is_object(lines[0][1]) and _is_object(whole):
        return Letters(name, [(0, whole.strip())])
    if whole.lstrip().startswith(b"["):
        raise BadMessage("message", "a JSON array", hint="write one JSON object a line, without the brackets")
    return Letters(name, [(n if len(lines) > 1 else 0, line.strip()) for n, line in lines])


def _is_object(text: bytes) -> bool:
    try:
        _OBJECT.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as exc:
        raise BadInput(f"{name}: {exc.strerror}") from exc


def _called(name: str) -> str:
    return "standard input" if name == "-" else name
