"""Gathers what is left of a soak from disk: databases by SQL and not by spool, logs, ledgers, folders."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from spool import log
from tests.soak import ledger
from tests.soak.facts import Act, BoxFacts, HostFacts, In, Key, Line, Out, Told
from tests.soak.ground import AGENTS, BOX, Ground

_OUT: Final = (
    "sender, id, recipient, state, peer, origin, due IS NOT NULL, attempts, reason, outcome, far_host, digest"
)
_IN: Final = "sender, id, agent, state, attempts, outcome, note, digest"
ABOUT: Final = "message."


class _Line(msgspec.Struct, frozen=True):
    at: str
    event: str
    pid: int
    id: str | None = None
    error: str | None = None


_decoder: Final = msgspec.json.Decoder(_Line)


class Logs:
    """Keeps the log files of the hosts before their rotation drops them."""

    def __init__(self, ground: Ground) -> None:
        self._folder = ground.folder / "logs"
        self._folder.mkdir()
        self._hosts = ground.hosts
        self._kept: set[tuple[str, int]] = set()

    def keep(self) -> None:
        """Copy what nobody writes to any more."""
        for name, host in self._hosts.items():
            for path in (host.home / "log").glob(f"{log.FILE}.[2-9]"):
                self._copy(name, path)

    def lines(self, name: str) -> Iterator[_Line]:
        """All lines of a host, after its end; those that a full disk cut short are left out."""
        self.keep()
        for last in (f"{log.FILE}.1", log.FILE):
            self._copy(name, self._hosts[name].home / "log" / last)
        for path in self._folder.glob(f"{name}-*"):
            for raw in path.read_bytes().split(b"\n"):
                if raw.startswith(b"{") and raw.endswith(b"}"):
                    yield from _line(raw)

    def _copy(self, name: str, path: Path) -> None:
        if not path.exists():
            return
        key = (name, path.stat().st_ino)
        if key not in self._kept:
            self._kept.add(key)
            shutil.copyfile(path, self._folder / f"{name}-{key[1]}.jsonl")


def _line(raw: bytes) -> Iterator[_Line]:
    try:
        yield _decoder.decode(raw)
    except msgspec.MsgspecError:
        return


def of_host(ground: Ground, name: str, logs: Logs) -> tuple[HostFacts, list[str]]:
    """What a host knows, and what its log calls a defect."""
    db = apsw.Connection(str(ground.hosts[name].home / "spool.db"))
    try:
        events, lines, defects = _log(logs.lines(name))
        facts = HostFacts(
            name=name,
            agents=frozenset([AGENTS[name]]),
            out=[_out(row) for row in _both(db, "outbox", _OUT)],
            inn=[In(Key(*row[:2]), *row[2:]) for row in _both(db, "inbox", _IN)],
            acks=[
                (Key(sender, id), status)
                for sender, id, status in db.execute("SELECT recipient, re, status FROM acks")
            ],
            told=[
                Told(Key(sender, id), state, what)
                for sender, id, state, what in db.execute(
                    "SELECT sender, id, state, what FROM events ORDER BY n"
                )
            ],
            lines=lines,
            events=events,
            quarantine=[f"{id}: {why}" for id, why in db.execute("SELECT name, reason FROM quarantine")],
            integrity=[str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"],
        )
    finally:
        db.close()
    return facts, defects


def _both(db: apsw.Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    return [
        row
        for each in (table, f"{table}_archive")
        for row in db.execute(f"SELECT {columns} FROM {each}").fetchall()
    ]


def _out(row: tuple[Any, ...]) -> Out:
    sender, id, to, state, peer, origin, waits, *rest = row
    return Out(Key(sender, id), to, state, peer, origin, bool(waits), *rest)


def _log(lines: Iterator[_Line]) -> tuple[dict[str, int], list[Line], list[str]]:
    events: Counter[str] = Counter()
    about: list[tuple[str, Line]] = []
    defects: list[str] = []
    for line in lines:
        events[line.event] += 1
        if line.event.startswith(ABOUT) and line.id is not None:
            about.append((line.at, Line(line.id, line.event.removeprefix(ABOUT), line.pid)))
        elif line.event.endswith("defect") or line.event == "peer.stopped":
            defects.append(f"{line.at} {line.event}: {line.error}")
    about.sort(key=lambda pair: pair[0])
    return dict(events), [line for _, line in about], defects


def of_box(ground: Ground) -> BoxFacts:
    """What lies in the folders of the files peer."""
    inbox = ground.box / "inbox"
    return BoxFacts(
        agent=BOX,
        inbox=_names(inbox),
        done=_names(inbox / "processed"),
        outbox=_names(ground.box / "outbox"),
    )


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("*.json") if not path.name.startswith("."))


def acts(ground: Ground) -> list[Act]:
    """All ledgers."""
    return [act for path in sorted(ground.ledgers.glob("*.jsonl")) for act in ledger.read(path)]
