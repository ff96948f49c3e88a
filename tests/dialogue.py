"""The dialler's end of a link, spoken by hand: for tests of what the far end answers."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec
import uuid_utils

from tests.waiting import Background


class Dialogue:
    """A started `spool serve`, or what leads to one: `with Dialogue(command) as line`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._env = env
        self.heard: list[dict[str, Any]] = []

    def __enter__(self) -> Dialogue:
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
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
        found: list[dict[str, Any]] = []

        def read() -> None:
            assert self.process.stdout is not None
            while line := self.process.stdout.readline():
                self.heard.append(msgspec.json.decode(line))
                if self.heard[-1]["f"] == kind:
                    found.append(self.heard[-1])
                    return

        error = Background(read, pause_s=0.0).raised(within_s)
        assert error is None, error
        assert found, f"it ended without {kind}: {self.heard}"
        return found[0]

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
