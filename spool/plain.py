"""Plain text: nothing that a peer wrote can move a cursor or forge a line."""

from __future__ import annotations

import re
from typing import Final

# Control characters but \n and \t, marks that turn the direction of writing, line separators,
# and the invisible tag letters.
_UNSAFE: Final = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """Text with every unsafe character written out; line ends of both kinds become \\n."""
    if text.isascii() and text.isprintable():
        # Most of it is: then nothing need be compiled.
        return text
    return re.sub(_UNSAFE, _written_out, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on a single line."""
    return plain(" / ".join(line.strip() for line in text.splitlines() if line.strip())).replace("\t", " ")


def field(text: str) -> str:
    """The same for a header's value: line breaks and tabs are written out too."""
    return plain(text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t"))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
