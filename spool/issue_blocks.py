"""The part of an issue or comment that spool reads: a fenced line of JSON, and a marker behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from spool.message import Ack

Kind = Literal["message", "acks", "urgent"]
FENCE: Final = "```"
_MARKER: Final = re.compile(
    r"<!-- spool (message|acks|urgent)((?: [A-Za-z0-9][A-Za-z0-9._-]{0,127}){1,3}) -->"
)
# Inside a fence these would act on nothing; escaped they cannot, whoever quotes or cuts the text.
_ACTING: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&@#`"}


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one host tells the other. `host` wrote it, `way` is the direction it goes.

    A message is `m`, its bytes as they are, or `s`, the same as a string where they are not all fit to
    be shown; `x` names the fields its first spool filled in, `t` is what was left of its lifetime in
    seconds, `h` are the hosts it passed, `q` is when it was queued by its sender's clock. Or `acks`.
    """

    spool: int = 1
    host: str
    way: str = ""
    t: float = 0.0
    x: list[str] = []
    h: list[str] = []
    q: float | None = None
    acks: list[Ack] = []
    s: str | None = None
    m: msgspec.Raw = msgspec.Raw()

    @property
    def raw(self) -> bytes:
        """The message's bytes; none where there is no message."""
        return self.s.encode() if self.s is not None else bytes(self.m)


class Broken(NamedTuple):
    """A marker stands there, and what belongs before it does not."""

    why: str


class Marker(NamedTuple):
    """What a post says of itself, for whoever looks for it: its kind, its host, and of what."""

    kind: str
    host: str
    sender: str = ""
    id: str = ""

    def __str__(self) -> str:
        return f"<!-- spool {' '.join(part for part in self if part)} -->"


_DECODE: Final = msgspec.json.Decoder(Block)


def of_message(
    raw: bytes,
    *,
    host: str,
    way: str,
    ttl_s: float,
    filled: Sequence[str] = (),
    hops: Sequence[str] = (),
    queued_at: float | None = None,
) -> str:
    """The line of JSON for a message; its bytes come back from it exactly."""
    head: dict[str, Any] = {"spool": 1, "host": host, "way": way, "t": round(ttl_s, 3)}
    head |= {k: v for k, v in {"x": list(filled), "h": list(hops), "q": queued_at}.items() if v}
    text = raw.decode("utf-8")
    # Line ends do not survive a web form, and what is not printable may show as something else.
    if not text.isprintable() or "`" in text:
        return json.dumps({**head, "s": text}).translate(_ACTING)
    return json.dumps(head)[:-1] + ', "m": ' + text + "}"


def of_acks(acks: Sequence[Ack], *, host: str) -> str:
    """The line of JSON for acks."""
    told = msgspec.to_builtins(list(acks))
    return json.dumps({"spool": 1, "host": host, "acks": told}).translate(_ACTING)


def fenced(line: str, marker: Marker) -> str:
    """The last part of a post: the block and its marker."""
    return f"{FENCE}json\n{line}\n{FENCE}\n{marker}"


def find(text: str) -> tuple[Marker, Block | Broken] | None:
    """The block of a post: the one before the last marker; None where there is no marker.

    Whatever a message's own text holds stands before it, and a quoted copy does not begin its line.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    for n in range(len(lines) - 1, -1, -1):
        if (found := _MARKER.fullmatch(lines[n].rstrip())) is not None:
            marker = Marker(found[1], *found[2].split())
            return marker, _block(lines[max(0, n - 3) : n], marker)
    return None


def _block(lines: list[str], marker: Marker) -> Block | Broken:
    if len(lines) != 3 or lines[0].rstrip() != f"{FENCE}json" or lines[2].rstrip() != FENCE:
        return Broken("the block before its marker was changed")
    try:
        block = _DECODE.decode(lines[1].encode())
    except (msgspec.MsgspecError, UnicodeError) as exc:
        return Broken(f"the block cannot be read: {str(exc)[:200]}")
    except RecursionError:
        return Broken("the block is nested too deep")
    if block.host != marker.host:
        return Broken(f"the block is of {block.host[:64]!r}, its marker of {marker.host}")
    return block
