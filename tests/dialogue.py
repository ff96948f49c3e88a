"""The dialler's end of a link, spoken by hand: for tests of what the far end answers."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec
import uuid_utils


class Dialogue:
    """A started `spool serve`, or what leads to one: `with Dialogue(command) as line`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._env = env
        self._rest = b""
        self.heard: list[dict[str, Any]] = []

    def __enter__(self) -> Dialogue:
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=self._env,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def say(self, **frame: Any) -> None:
        """Write one frame; its fields in the order given."""
        self.write(msgspec.json.encode(frame) + b"\n")

    def write(self, raw: bytes) -> None:
        """Write bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(raw)
        self.process.stdin.flush()

    def expect(self, kind: str, within_s: float = 10.0) -> dict[str, Any]:
        """The next frame of this kind; others are passed over and kept in `heard`."""
        until = time.monotonic() + within_s
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                self.heard.append(msgspec.json.decode(line))
                if self.heard[-1]["f"] == kind:
                    return self.heard[-1]
            self._rest += self._more(until - time.monotonic(), kind)

    def ends(self, within_s: float = 10.0) -> int:
        """Wait until the far end ends by itself; its exit status."""
        return self.process.wait(within_s)

    def _more(self, timeout_s: float, kind: str) -> bytes:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, timeout_s))
        assert ready, f"no {kind} in time: {self.heard}"
        more = os.read(self.process.stdout.fileno(), 65536)
        assert more, f"it ended without {kind}: {self.heard}"
        return more

    @staticmethod
    def item(sender: str, to: str, **more: Any) -> dict[str, Any]:
        """A message as a frame carries it; `more` goes into the message."""
        message = {
            "id": f"msg-{uuid_utils.uuid7()}",
            "timestamp": "2026-01-02T03:04:05Z",
            "from": sender,
            "to": to,
            "subject": "hello",
            **more,
        }
        return {"t": 3600.0, "m": message}
