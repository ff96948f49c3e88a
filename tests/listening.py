"""A session's inbox socket, as it is documented: a line that opens it, then one message as a line of JSON."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, NamedTuple, Self

import msgspec

TOKEN = "f00d-cafe"


class Auth(msgspec.Struct, forbid_unknown_fields=True):
    """The line with the token."""

    type: Literal["auth"]
    token: str


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """What a user says."""

    role: Literal["user"]
    content: Annotated[str, msgspec.Meta(min_length=1)]


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """The line with the message."""

    type: Literal["user"]
    message: Inner


class Heard(NamedTuple):
    """A message that came, and when it was there whole (seconds since the epoch)."""

    text: str
    at: float


class Inbox:
    """Listens at a path; whoever has no token, or says anything else, is not heard but complained of.

    Args:
        answer: what it answers, once the message is there.
    """

    def __init__(self, path: Path, *, token: str = TOKEN, answer: bytes = b"") -> None:
        self.path = path
        self.complaints: list[str] = []
        self._heard: queue.Queue[Heard] = queue.Queue()
        self._token, self._answer = token, answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def kept(self) -> str:
        """Its address, as a session keeps it."""
        return json.dumps({"socket": str(self.path), "token": self._token})

    def next(self, within_s: float = 30.0) -> Heard:
        """The next message; it fails the test that none comes."""
        try:
            return self._heard.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"nothing was said within {within_s} s; {self.complaints}") from None

    def is_silent(self) -> bool:
        """Whether nothing was said that was not taken with `next`."""
        return self._heard.empty() and not self.complaints

    def close(self) -> None:
        """Listen no more; its path stays, as one that a killed session leaves."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._socket.accept()
            except OSError:
                return
            with channel, channel.makefile("rb") as lines:
                channel.settimeout(10)
                try:
                    self._hear(lines.readline)
                    channel.sendall(self._answer)
                except (OSError, ValueError) as exc:
                    self.complaints.append(repr(exc))

    def _hear(self, line: object) -> None:
        assert callable(line)
        if self._token:
            given = msgspec.json.decode(line(), type=Auth)
            if given.token != self._token:
                raise ValueError("another token")
        said = msgspec.json.decode(line(), type=Said)
        self._heard.put(Heard(said.message.content, time.time()))
