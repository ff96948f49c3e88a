"""Inputs too large to lie in the repository, made when they are wanted."""

from __future__ import annotations

from typing import Final

_HEAD: Final = b'{"from":"a","to":"b","body":"x",'
_NAMED: Final = b'[host]\nname = "a"\n'
_DEEP: Final = 7_000


def _agents(patterns: list[bytes]) -> bytes:
    return b"agents = [" + b",".join(b'"' + each + b'"' for each in patterns) + b"]\n"


def _text(value: bytes) -> bytes:
    return _HEAD + b'"q":' + value + b"}"


_TEXTS: Final = {
    "bomb-arrays": _text(b"[" * _DEEP + b"]" * _DEEP),
    "bomb-arrays-open": _text(b"[" * 2 * _DEEP),
    "bomb-objects": _text(b'{"a":' * 2_000 + b"1" + b"}" * 2_000),
    "bomb-objects-open": _text(b'{"a":' * 2_000),
    "bomb-digits": _text(b"9" * 15_000),
    "bomb-fraction": _text(b"0." + b"1" * 15_000),
    "bomb-exponent": _text(b"1e" + b"9" * 15_000),
    "bomb-escapes": _text(b'"' + b"\\u0041" * 2_500 + b'"'),
    "bomb-keys": _text(b"{" + b",".join(b'"%d":0' % n for n in range(1_500)) + b"}"),
    "bomb-empty-arrays": _text(b"[" + b"[]," * 5_000 + b"[]]"),
    "bomb-stars": b'"' + b"a* " * 5_000 + b'"',
    "bomb-marks": "\u0301".encode() * 8_000,
}
_ITEMS: Final = {
    "bomb-items": b'{"f":"messages","n":1,"items":[' + b'{"t":1},' * 2_047 + b'{"t":1}]}\n',
    "bomb-one-more": b'{"f":"messages","n":1,"items":[' + b'{"t":1},' * 2_048 + b'{"t":1}]}\n',
    "bomb-frames": b'{"f":"ping","n":1,"clock":1,"echo":true}\n' * 1_500,
    "bomb-line-feeds": b"\n" * 60_000,
    "bomb-no-line-feed": b"x" * 65_000,
    "bomb-depth": b'{"f":"messages","n":1,"items":' + b"[" * 60_000 + b"\n",
    "bomb-unknown": b'{"f":"' + b"z" * 60_000 + b'"}\n',
    "bomb-pieces": (b'{"f":"piece","sha256":"' + b"0" * 64 + b'","at":0,"n":1}\nx') * 500,
}
_TABLES: Final = {
    "bomb-depth": b"a = " + b"[" * 8_000,
    "bomb-tables": b"a = " + b"{a=" * 2_000,
    "bomb-dots": b".".join([b"a"] * 3_000) + b" = 1",
    "bomb-digits": _NAMED + b"low_water_mb = " + b"9" * 6_000,
    "bomb-headers": b"".join(b"[a%d]\n" % n for n in range(900)),
    "bomb-patterns": _NAMED + _agents([b"a*" * 32]) + b"[peers.b]\n" + _agents([b"*a" * 32]),
    "bomb-peers": _NAMED + b"".join(b"[peers.p%d]\n" % n + _agents([b"x%d*" % n]) for n in range(60)),
    "bomb-agents": _NAMED + _agents([b"a%d*" % n for n in range(300)]),
}

BOMBS: Final[dict[str, dict[str, bytes]]] = {
    "texts": _TEXTS,
    "lines": _ITEMS,
    "link": _ITEMS,
    "tables": _TABLES,
}
