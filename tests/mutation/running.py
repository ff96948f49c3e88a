"""Tries mutants against the tests that run their code, each in a process of its own; a plugin of pytest."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import pytest
from _pytest.runner import runtestprotocol

NO_MUTANT: Final = 77
LEAST_S: Final = 60.0
_ENDS: Final = {0: "survived", 1: "killed", NO_MUTANT: "none", -signal.SIGALRM: "timeout"}


class Mutant(NamedTuple):
    """One change: its name, whose it is, what a test runs that has it, and what puts it in place."""

    name: str
    module: str
    keys: Sequence[str]
    install: Callable[[], None]


class Source(Protocol):
    """Where mutants come from."""

    def record(self) -> None:
        """From now on, keep what is run."""

    def ran(self) -> set[str]:
        """What was run since it was asked last."""

    def mutants(self, known: Sequence[str]) -> list[Mutant]:
        """All mutants of what was run."""


class Limits(NamedTuple):
    """How much is tried: a share of the mutants, drawn by `seed`, each with so many tests at most. With
    `again`, only those of them that survived as that file of an earlier run says."""

    share: float = 1.0
    seed: int = 1
    tests: int = 1000
    jobs: int = 1
    again: Path | None = None


class Runs:
    """The plugin: looks which test runs what, and then tries every mutant.

    Args:
        seen: a file that keeps which test runs what, for the next time.
        out: where a line of JSON goes for each mutant; those that are there are not tried again.
    """

    def __init__(self, source: Source, limits: Limits, *, seen: Path, out: Path) -> None:
        self._source = source
        self._limits = limits
        self._seen = seen
        self._out = out
        self._running: dict[int, tuple[Mutant, int, float]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of the loop of pytest."""
        items = {item.nodeid: item for item in session.items}
        if not self._seen.exists():
            self._look(session.items)
        tests_of, took = self._read(items)
        mutants = self._chosen(self._source.mutants(list(tests_of)))
        print(f"\n{len(mutants)} mutants to try", flush=True)
        gc.freeze()
        for one in mutants:
            names = {name for key in one.keys for name in tests_of.get(key, ())}
            order = sorted(names, key=took.__getitem__)[: self._limits.tests]
            if not order:
                self._write(one, "untested", tests=0, began=time.monotonic())
                continue
            self._wait(self._limits.jobs - 1)
            self._try(one, [items[name] for name in order], LEAST_S + 20 * sum(took[name] for name in order))
        self._wait(0)
        return True

    def _chosen(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        rng, again = random.Random(self._limits.seed), self._limits.again
        drawn = [one for one in mutants if rng.random() < self._limits.share]
        if again is not None:
            survived = _told(again, ("survived",))
            drawn = [one for one in drawn if one.name in survived]
        done = _told(self._out, (*_ENDS.values(), "untested"))
        return [one for one in drawn if one.name not in done]

    def _look(self, items: Sequence[pytest.Item]) -> None:
        drafted = self._seen.with_name(f"{self._seen.name}.draft")
        if (pid := os.fork()) == 0:
            _in_child(lambda: self._record(items, drafted))
        if os.waitpid(pid, 0)[1]:
            raise pytest.UsageError(f"without any mutant this fails, mend it first: {drafted.read_text()}")
        drafted.rename(self._seen)

    def _record(self, items: Sequence[pytest.Item], drafted: Path) -> None:
        self._source.record()
        lines = []
        for item in items:
            drafted.write_text(item.nodeid)
            began = time.process_time()
            if not _passes([item]):
                os._exit(1)
            lines.append(json.dumps([item.nodeid, time.process_time() - began, sorted(self._source.ran())]))
        drafted.write_text("\n".join(lines))

    def _read(self, items: dict[str, pytest.Item]) -> tuple[dict[str, list[str]], dict[str, float]]:
        tests_of: dict[str, list[str]] = defaultdict(list)
        took = {}
        for line in self._seen.read_text().splitlines():
            name, seconds, keys = json.loads(line)
            if name in items:
                # Of two that take as long, the one that runs less else is likelier to be about it.
                took[name] = seconds + len(keys) * 0.001
                for key in keys:
                    tests_of[key].append(name)
        return tests_of, took

    def _try(self, one: Mutant, items: Sequence[pytest.Item], limit_s: float) -> None:
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            one.install()
            _in_child(lambda: _passes(items) or os._exit(1))
        self._running[pid] = one, len(items), time.monotonic()

    def _wait(self, most: int) -> None:
        while len(self._running) > most:
            pid, status = os.wait()
            one, tests, began = self._running.pop(pid)
            end = _ENDS.get(os.waitstatus_to_exitcode(status), "killed")
            self._write(one, end, tests=tests, began=began)

    def _write(self, one: Mutant, end: str, *, tests: int, began: float) -> None:
        told = {"name": one.name, "module": one.module, "end": end, "tests": tests}
        with self._out.open("a") as out:
            out.write(json.dumps({**told, "s": round(time.monotonic() - began, 2)}) + "\n")


def _told(out: Path, ends: Sequence[str]) -> set[str]:
    """The mutants that ended so."""
    lines = out.read_text().splitlines() if out.exists() else []
    return {told["name"] for told in map(json.loads, lines) if told["end"] in ends}


def _in_child(work: Callable[[], object]) -> None:
    """Do it with no word to the terminal, and end without whatever else the parent would do."""
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        work()
    except BaseException:
        os._exit(2)
    os._exit(0)


def _passes(items: Sequence[pytest.Item]) -> bool:
    """Whether all pass, up to the first that does not."""
    return not any(
        report.failed for item in items for report in runtestprotocol(item, nextitem=None, log=False)
    )
