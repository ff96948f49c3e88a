"""The inbox socket of a Claude Code session: where it is, and what is said there.

Source: code.claude.com/docs/en/cross-session-messaging, as of August 2026, for the two variables and the
line with the token. It does not spell the line with the message out; this one is what programs in use send.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

SOCKET: Final = "CLAUDE_CODE_MESSAGING_SOCKET"
TOKEN: Final = "CLAUDE_CODE_MESSAGING_TOKEN"  # noqa: S105  the name of a variable
# Of each: to connect, and to take what is said.
LIMIT_S: Final = 2.0
# It need not answer, and mostly does not; what it says at once is evidence.
ANSWER_S: Final = 0.3
_ANSWER: Final = 4096
_LONGEST: Final = 4096


class NotDelivered(Exception):
    """The session did not take it, as far as one can tell."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session listens, and what opens it; kept with the session, and nowhere else."""

    socket: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Address(socket={self.socket!r})"


def kept(environment: Mapping[str, str]) -> str | None:
    """The address that a session's environment names, as it is kept; None where it names none."""
    path, token = environment.get(SOCKET, ""), environment.get(TOKEN, "")
    # On Windows it is the name of a pipe.
    if not path.startswith("/") or max(len(path), len(token)) > _LONGEST:
        return None
    return msgspec.json.encode(Address(socket=path, token=token)).decode()


def address(kept: str) -> Address | None:
    """The address that was kept; None where this is none."""
    try:
        return msgspec.json.decode(kept, type=Address)
    except (msgspec.DecodeError, ValueError):
        return None


def lines(where: Address, text: str) -> bytes:
    """What is said to a session: the token, where there is one, and the message."""
    said: list[dict[str, Any]] = [{"type": "user", "message": {"role": "user", "content": text}}]
    if where.token:
        said.insert(0, {"type": "auth", "token": where.token})
    return b"".join(json.dumps(each).encode() + b"\n" for each in said)


def deliver(where: Address, text: str) -> str:
    """Tell a session; what it answered, `nothing`, or `closed`: none of it says that anybody read it.

    Raises:
        NotDelivered: nobody listens there, or did not take all of it in time.
    """
    try:
        if not _is_ours(where.socket):
            raise NotDelivered(f"{where.socket} is no socket of this user")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(LIMIT_S)
            channel.connect(where.socket)
            channel.sendall(lines(where, text))
            return _answer(channel, where)
    except OSError as exc:
        raise NotDelivered(f"{where.socket}: {exc.strerror or exc}") from exc


def _is_ours(path: str) -> bool:
    # Whoever takes the place of a session that is gone would be told its token.
    found = Path(path).stat()
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()


def _answer(channel: socket.socket, where: Address) -> str:
    channel.settimeout(ANSWER_S)
    try:
        said = channel.recv(_ANSWER)
    except TimeoutError:
        return "nothing"
    text = said.decode("utf-8", "replace")
    return (text.replace(where.token, "(token)") if where.token else text) or "closed"
