"""One input tried on a target: how long it took, how much memory, what became of it."""

from __future__ import annotations

import hashlib
import time
import traceback
import tracemalloc
from typing import Final, NamedTuple

from tests.fuzz.base import Target

# Only to tell what never ends.
HANG_S: Final = 10.0


class Tried(NamedTuple):
    """What came of one input, with the seconds of work; `fault` is empty where every promise was kept."""

    word: str
    seconds: float
    fault: str = ""
    peak: int = 0


def attempt(target: Target, raw: bytes, *, weigh: bool = False) -> Tried:
    """Try one input; with `weigh` its memory is measured, which makes it several times slower."""
    if not weigh:
        return _timed(target, raw)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        tried = _timed(target, raw)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    most = target.memory(len(raw))
    if peak > most and not tried.fault:
        return tried._replace(peak=peak, fault=f"memory: {peak:,} bytes for {len(raw):,}, {most:,} at most")
    return tried._replace(peak=peak)


def _timed(target: Target, raw: bytes) -> Tried:
    begun, worked = time.monotonic(), time.process_time()
    try:
        word, fault = target(raw), ""
    except Exception as exc:  # whatever escapes is what this is for
        word, fault = f"fault:{type(exc).__name__}", "".join(traceback.format_exception(exc))
    seconds, worked = time.monotonic() - begun, time.process_time() - worked
    # A loaded machine may stand still for as long.
    if seconds > HANG_S and worked > HANG_S / 2 and not fault:
        fault = f"hang: {seconds:.1f} s"
    return Tried(word, worked, fault)


def name_of(raw: bytes) -> str:
    """The name of an input as a file."""
    return hashlib.sha256(raw).hexdigest()[:16]
