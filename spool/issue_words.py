"""What people see of a message on GitHub: titles, bodies and ack comments, in which nothing of it can act."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from spool.issue_blocks import Marker, fenced, of_acks
from spool.message import Ack, Message, format_time

# GitHub takes 65,536 characters; nobody says what it counts for those that need two in UTF-16.
LIMIT: Final = 65_000
MAX_TITLE: Final = 240
URGENT: Final = "URGENT"
_SHOWN: Final = 8_000
_NOTE: Final = 300
_CUT: Final = "\n[cut here; the whole text is in the block below]"
# Words that are words on GitHub, too: no reference (GH-1), no commit (deadbeef), no address.
_PLAIN: Final = re.compile(r"(?!.*\b[0-9a-fA-F]{7,}\b)[A-Za-z0-9]+(?: (?:- )?[A-Za-z0-9]+)*")
_NAME: Final = re.compile(r"(?!.*[Gg][Hh]-\d)(?!.*[0-9a-f]{7})[A-Za-z][A-Za-z0-9-]*")
_MENTION: Final = re.compile(r"[@#](?=\w)|\b[Gg][Hh]-(?=\d)")


class TooLong(Exception):
    """It does not fit into one issue or comment; the text says by how much."""


def title(tag: str, subject: str, body: str) -> str:
    """`[CHAT:TAG] subject`, on one line; the first line of the body where there is no subject."""
    text = subject.strip() or body.strip().partition("\n")[0]
    # A title is no place for code: what would mention or refer is parted by a space of no width.
    shown = _MENTION.sub(lambda found: found[0] + "\u200b", visible(" ".join(text.split())))
    whole = f"[CHAT:{tag.upper()}] {shown}"
    return whole if len(whole) <= MAX_TITLE else whole[: MAX_TITLE - 1] + "…"


def post(message: Message, line: str, marker: Marker, *, more: Sequence[str] = ()) -> str:
    """The body of an issue or comment: the message for people, then the block `line` for spool.

    Args:
        more: lines of Markdown to stand between the two; text of others in them must be quoted.

    Raises:
        TooLong: even without the part for people.
    """
    block = fenced(line, marker)
    head = "\n".join(_heads(message))
    rest = "\n\n".join(part for part in (head, "\n".join(more), block) if part)
    room = LIMIT - _units(rest) - 32
    if room < len(_CUT):
        over = _units(rest) - LIMIT
        raise TooLong(
            f"GitHub takes {LIMIT:,} characters in one post, and this message is {over:,} over that"
        )
    text = _block_of(message.body, min(room, _SHOWN))
    return "\n\n".join(part for part in (head, text, "\n".join(more), block) if part)


def acks(told: Sequence[Ack], *, host: str) -> tuple[str, list[Ack]]:
    """The comment that says how far messages got, and which acks it holds: the newest where not all fit."""
    kept = [_short(ack) for ack in told]
    while True:
        newest = {(ack.to, ack.re): ack for ack in kept}.values()
        lines = "\n".join(_ack_line(ack) for ack in newest)
        text = f"How far mail got, says {name(host)}:\n\n{lines}\n\n" + fenced(
            of_acks(kept, host=host), Marker("acks", host)
        )
        if _units(text) <= LIMIT:
            return text, kept
        kept = kept[len(kept) // 4 + 1 :]


def quoted(text: str, *, limit: int = 200) -> str:
    """A text of somebody else within a line: as it is where it is plain words, else as code."""
    line = _one_line(text, limit)
    return line if not line or _PLAIN.fullmatch(line) else code(line)


def name(text: str) -> str:
    """An agent's or a host's name: as it is where it can be nothing else on GitHub."""
    return text if _NAME.fullmatch(text) else code(text)


def code(line: str) -> str:
    """One line as code: nothing in it mentions, refers or is HTML."""
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def visible(text: str) -> str:
    """Text in which what cannot be seen, or turns what stands around it, is written out."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c.isprintable() else _written(c) for c in text.replace("\r\n", "\n"))


def _one_line(text: str, limit: int) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _written(c: str) -> str:
    # What joins letters and signs into one changes no order.
    return c if c in "\u200c\u200d" or unicodedata.category(c) == "Zs" else f"[U+{ord(c):04X}]"


def _heads(message: Message) -> list[str]:
    lines = [f"**From:** {name(message.sender)}", f"**To:** {name(message.to)}"]
    if message.type == "blocker":
        lines.append(f"**Blocker:** {message.priority}")
    if isinstance(session := message.context.get("session"), str) and session.strip():
        lines.append(f"**Session:** {quoted(session)}")
    if message.deadline is not None:
        lines.append(f"**Deadline:** {code(message.deadline)}")
    return [*lines, f"**Citation:** {code(_one_line(message.citation, 300))}"]


def _block_of(body: str, room: int) -> str:
    if not body.strip():
        return ""
    text = visible(body.rstrip())
    if _units(text) > room:
        text = text[: max(0, room // 2 - len(_CUT))] + _CUT
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _ack_line(ack: Ack) -> str:
    at = "" if ack.at is None else f", {format_time(ack.at)[:19]}Z"
    note = f": {quoted(ack.note)}" if ack.note else ""
    return f"- {code(ack.re)} {quoted(ack.status)} ({name(ack.sender)}{at}){note}"


def _short(ack: Ack) -> Ack:
    if ack.note is None or len(ack.note) <= _NOTE:
        return ack
    from msgspec.structs import replace

    return replace(ack, note=ack.note[: _NOTE - 1] + "…")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _units(text: str) -> int:
    return len(text) + sum(c > "\uffff" for c in text)
