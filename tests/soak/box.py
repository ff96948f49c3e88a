"""The files peer's own script: `python -m tests.soak.box FOLDER AGENT LEDGER RATE COUNT BEGUN TO…`.

As the scripts of the files protocol do, it looks at `inbox/*.json`, writes an ack into `outbox/`, moves what
it has seen to `inbox/processed/`, and writes messages of its own, each under a hidden name first.
One in `SILENT` of what comes is not acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any, Final

from tests.soak import ledger
from tests.soak.ledger import Ledger

LOOK_S: Final = 0.2
SILENT: Final = 10


class Box:
    """One life of the script."""

    def __init__(self, folder: Path, agent: str, book: Ledger) -> None:
        self._inbox, self._outbox = folder / "inbox", folder / "outbox"
        self._done = self._inbox / "processed"
        self._agent = agent
        self._book = book
        self._life = f"{book.who}-{time.time_ns():x}"
        self._count = 0
        self.halted = False

    def halt(self, *_: object) -> None:
        """End with this round."""
        self.halted = True

    def look(self) -> None:
        """Acknowledge and put away what came."""
        paths = sorted(self._inbox.glob("*.json"))
        self._book.note("saw", [path.stem for path in paths])
        for path in paths:
            # What nobody took in its lifetime is taken back, at any moment.
            with contextlib.suppress(FileNotFoundError):
                message = json.loads(path.read_bytes())
                if not self._is_silent(path.stem):
                    self._acknowledge(message)
                self._put_away(path)

    @staticmethod
    def _is_silent(id: str) -> bool:
        # The same in each life: one that was killed in between must not change its mind.
        return zlib.crc32(id.encode()) % SILENT == 0

    def _acknowledge(self, message: dict[str, Any]) -> None:
        id = str(message["id"])
        self._book.note("acking", [id])
        ack = {"from": self._agent, "to": message["from"], "re": id, "status": "processed"}
        self._publish(f"ack-{id}", ack)

    def _put_away(self, path: Path) -> None:
        kept = self._done / path.name
        self._book.note("twice" if kept.exists() else "filed", [path.stem])
        path.rename(kept)

    def write(self, to: str) -> None:
        """Write a message."""
        self._count += 1
        id = f"{self._life}-{self._count}"
        self._book.note("writing", [id], to=to)
        said = {"id": id, "from": self._agent, "to": to, "subject": f"file {id}", "body": "x" * 300}
        self._publish(id, said)
        self._book.note("sent", [id], to=to)

    def _publish(self, name: str, what: dict[str, Any]) -> None:
        hidden = self._outbox / f".{name}"
        hidden.write_text(json.dumps(what))
        hidden.rename(self._outbox / f"{name}.json")


def main(folder: str, agent: str, path: str, rate: str, count: str, begun: str, *targets: str) -> None:
    """Keep the pace that was asked for since BEGUN (seconds since the epoch), until SIGTERM."""
    book = Ledger(Path(path))
    sent = ledger.sent(Path(path))
    box = Box(Path(folder), agent, book)
    signal.signal(signal.SIGTERM, box.halt)
    while not box.halted:
        due = min(int((time.time() - float(begun)) * float(rate)), int(count)) - sent
        for _ in range(due):
            box.write(random.choice(targets))
            sent += 1
        box.look()
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
