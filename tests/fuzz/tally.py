"""What a long run counts: inputs, what became of them, faults, memory, time."""

from __future__ import annotations

import collections
import faulthandler
import mmap
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.base import Target
from tests.fuzz.trial import Tried, attempt, name_of

# Measuring memory makes an input several times slower.
WEIGH_EVERY: Final = 100
TELL_EVERY_S: Final = 60.0
MOST_FAULTS: Final = 20
# One input may stand for so long on a loaded machine; then it is taken to go on for ever.
STANDS_S: Final = 60.0
SHOWN: Final = 12


class Tally:
    """Tries what it is given until the time is up, and then ends the process.

    Args:
        keep: where faults go, beside what the search keeps there.
        done: a folder to remove at the end.
    """

    def __init__(
        self, name: str, target: Target, keep: Path, *, minutes: float, seed: int, done: Path
    ) -> None:
        self._name = name
        self._target = target
        self._keep = keep
        self._seed = seed
        self._done = done
        self._before = len(list(keep.iterdir()))
        self._begun = self._told = self._armed = time.monotonic()
        self._until = self._begun + minutes * 60
        self._inputs = self._most = self._hangs = 0
        self._words: collections.Counter[str] = collections.Counter()
        self._faults: dict[str, str] = {}
        self._slowest = Tried("", 0.0)
        self._current = _shared(keep / "current-input", target.most_bytes + 8)
        self._arm(self._begun)

    def one(self, raw: bytes) -> None:
        """Try one input."""
        now = time.monotonic()
        if now >= self._until or len(self._faults) >= MOST_FAULTS:
            self._end()
        if now - self._armed > STANDS_S / 6:
            self._arm(now)
        if now - self._told > TELL_EVERY_S:
            self._told = now
            print(self._line(), flush=True)
        # Whatever ends the process, even from within a library: what it was at is there.
        self._current[: 8 + len(raw)] = len(raw).to_bytes(8, "big") + raw
        tried = attempt(self._target, raw, weigh=self._inputs % WEIGH_EVERY == 0)
        self._inputs += 1
        self._words[tried.word] += 1
        self._most = max(self._most, tried.peak)
        if tried.seconds > self._slowest.seconds:
            self._slowest = tried
        if tried.fault:
            self._note(raw, tried)

    def _note(self, raw: bytes, tried: Tried) -> None:
        self._hangs += tried.fault.startswith("hang")
        # One of each kind: the last line and the place it came from.
        kind = "\n".join(tried.fault.strip().splitlines()[-4:]).split(":")[0][:200] + tried.word
        if kind not in self._faults:
            path = self._keep / f"fault-{name_of(raw)}"
            path.write_bytes(raw)
            self._faults[kind] = f"{path}\n{tried.fault}"
            print(f"FAULT {self._faults[kind]}", flush=True)

    def _arm(self, now: float) -> None:
        """Where one input takes for ever, say where it stands and end."""
        self._armed = now
        faulthandler.dump_traceback_later(STANDS_S, exit=True)

    def _line(self) -> str:
        minutes = (time.monotonic() - self._begun) / 60
        facts = (
            f"{self._name} seed {self._seed}: {minutes:.1f} min",
            f"{self._inputs:,} inputs",
            f"{self._new()} with new coverage",
            f"{len(self._words)} outcomes",
            f"{len(self._faults)} kinds of faults",
            f"{self._hangs} hangs",
            f"peak {self._most / 1e6:.1f} MB for one input",
            f"{_resident_mb():.0f} MB in all",
            f"slowest {self._slowest.seconds * 1000:.0f} ms of work",
        )
        return ", ".join(facts)

    def _new(self) -> int:
        ours = sum(1 for each in self._keep.iterdir() if "-" in each.name)
        return len(list(self._keep.iterdir())) - ours - self._before

    def _end(self) -> None:
        print(self._line())
        for word, count in self._words.most_common(SHOWN):
            print(f"  {count:>10,}  {word}")
        print(f"new inputs and faults are in {self._keep}")
        sys.stdout.flush()
        (self._keep / "current-input").unlink()
        shutil.rmtree(self._done, ignore_errors=True)
        # The search would go on: it has no other end.
        os._exit(1 if self._faults else 0)


def _shared(path: Path, size: int) -> mmap.mmap:
    path.write_bytes(bytes(size))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), size)


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
