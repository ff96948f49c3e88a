"""Words that the formats under test are made of: a search would take years to find them by chance."""

from __future__ import annotations

from typing import Final

from spool.config import Host, Peer
from spool.message import FIELDS, Ack
from spool.transports import frames

# Numbers, texts and brackets that readers have fallen over.
_NASTY: Final = [
    *b'{ } [ ] : , " \\ -0 1e999 -1e999 1e-999 NaN Infinity null true false 9007199254740993'.split(),
    *b"18446744073709551616 4294967295 -1 0.1 \\u0000 \\ud800 \\udc00\\ud800 \\u202e \\n \\r".split(),
    b"9" * 400,
    b"[" * 65,
    b'{"a":' * 65,
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\0",
    "\u2028".encode(),
    "\u202e".encode(),
]
_KINDS: Final = [f'{{"f":"{kind}"'.encode() for kind in sorted(frames.KNOWN)]
_KEYS: Final = [f'"{name}":'.encode() for name in FIELDS]
_STRUCTS: Final = (
    *frames.Frame.__args__,
    frames.Item,
    frames.Result,
    frames.Answer,
    frames.Key,
    frames.AgentNow,
    Ack,
)
_FRAME_KEYS: Final = [
    f'"{name}":'.encode()
    for name in sorted({"f", *(name for cls in _STRUCTS for name in cls.__struct_encode_fields__)})
]
_TIMES: Final = [b'"2025-11-13T10:30:45Z"', b'"9999-12-31T23:59:59+23:59"', b'"0001-01-01T00:00:00Z"']
_TABLES: Final = [
    *(f"{name} = ".encode() for name in (*Host.__struct_fields__, *Peer.__struct_fields__)),
    *b'[host] [peers.a] [[peers]] "" \'\'\' """ = inf nan -inf 0x 1979-05-27T07:32:00Z ["a*"] "dir:"'.split(),
    *b'"ssh://a" "sftp://a@b:22" "exec:a" "/a" "~/a" \\u0000 \\U0010FFFF # * **'.split(),
    b"\n",
]
_MAIL: Final = [*_NASTY, *_KEYS, *_TIMES, b'"P0"', b'"received"', b'"status":', b'"msg-1"']

TOKENS: Final[dict[str, list[bytes]]] = {
    "lines": [*_NASTY, *_KINDS, *_FRAME_KEYS, b"\n", b'{"f":"piece","sha256":"'],
    "texts": _MAIL,
    "tables": [*_NASTY, *_TABLES],
    "link": [*_NASTY, *_KINDS, *_FRAME_KEYS, *_KEYS, b"\n"],
    "folders": [*_MAIL, b"\x1e", b"\x1f", b".json", b".spool-here~", b"..", b"ack-1.json"],
    "hooks": [*_NASTY, *b'"session_id": "cwd": "agent_id": "prompt": "stop_hook_active":'.split()],
    "keys": [
        *b'restrict,command=" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI @revoked @cert-authority |1|'.split(),
        *b"ssh-rsa serve --peer --home # * ? ! , =".split(),
        b"\n",
        b"\xff",
        b"\0",
    ],
    "tools": [*_NASTY, *b'"to": "body": "subject": "message_id": "limit": "offset": "since": "30m"'.split()],
}
