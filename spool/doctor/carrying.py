"""Whether somebody carries the mail: the consumer, its sweep, its log, its clock, its config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spool import presence, settings, sweep, views
from spool.doctor.finding import Case, Finding, failed, ok, warning
from spool.log import FILE
from spool.looking import ago
from spool.presence import SILENT_S, Process
from spool.store.sqlite import SqliteStore
from spool.version import VERSION

# Nothing can be older than spool.
OLDEST_CLOCK: Final = 1_700_000_000.0


def look(case: Case) -> Iterator[Finding]:
    """Check what runs here, and by which clock."""
    if case.store is not None:
        consumers = presence.living(case.home / "run", "consumer")
        yield from _runs(case, consumers) if consumers else _does_not_run(case, case.store)
        yield from _refused_config(case.store)
        yield _clock(case, case.store)


def _runs(case: Case, consumers: list[Process]) -> Iterator[Finding]:
    first = consumers[0]
    since = ago(case.now - first.since)
    yield ok("consumer", f"runs, pid {', '.join(str(each.pid) for each in consumers)}, for {since}")
    if first.version != VERSION:
        yield warning("consumer", f"it is spool {first.version}, this is {VERSION}", "`spool restart`")
    assert case.store is not None
    with case.store.read() as tx:
        swept = tx.ledger.fact(sweep.FACT)
    last = max(first.since, float(swept or 0))
    if case.now - last > views.SWEPT_S:
        found = f"pid {first.pid} has not swept for {ago(case.now - last)}: it hangs, or is stopped"
        yield failed("consumer", found, f"`spool restart`; if that does not end it: `kill -9 {first.pid}`")
    yield from _silence(case, first)


def _silence(case: Case, consumer: Process) -> Iterator[Finding]:
    path = case.home / "log" / FILE
    written = views.silent_s(case.home, now=case.now)
    running = case.now - consumer.since
    silent = running if written is None else min(running, written)
    if silent > SILENT_S:
        found = f"{path} is silent for {ago(silent)}, while a consumer runs"
        yield failed(
            "log", found, f"`ls -ld {path.parent} {path}`: it must be writable; then `spool restart`"
        )


def _does_not_run(case: Case, store: SqliteStore) -> Iterator[Finding]:
    with store.read() as tx:
        mail, acks = tx.outbox.waiting(), tx.acks.waiting()
    if case.config is None:
        yield warning("consumer", "none runs here", "`spool up --detach`, once the config is right")
        return
    dialled = {name for name, peer in case.config.peers.items() if peer.url}
    waiting = sum(count for each in (mail, acks) for name, count in each.items() if name in dialled)
    if waiting:
        yield failed("consumer", f"none runs here and {waiting} wait to be carried", "`spool up --detach`")
    elif dialled:
        yield warning("consumer", "none runs here: nothing is dialled", "`spool up --detach`")
    else:
        yield ok("consumer", "none runs here, and there is no peer to dial")


def _refused_config(store: SqliteStore) -> Iterator[Finding]:
    with store.read() as tx:
        problem = tx.ledger.fact(settings.FACT)
    if problem:
        found = f"the consumer keeps its old config, since the new one is bad: {problem}"
        yield failed("config", found, "correct it; the consumer picks it up within seconds")


def _clock(case: Case, store: SqliteStore) -> Finding:
    if case.now < OLDEST_CLOCK:
        return failed("clock", "this host's clock is years behind", _SET)
    if not sweep.is_steady(store, case.now):
        found = "this clock has leapt, or the host was off: for ten minutes nothing expires"
        return warning("clock", found, f"if it is wrong: {_SET}")
    with store.read() as tx:
        rows = tx.peers.all().values()
    known = {name for name in (case.config.peers if case.config else ())}
    offsets = [(row.name, row.clock_offset) for row in rows if row.name in known and row.clock_offset]
    off = [(name, offset) for name, offset in offsets if abs(offset) > 5.0]
    if off:
        told = ", ".join(f"{name} {offset:+.0f} s" for name, offset in off)
        return warning("clock", f"not the same as that of {told}", f"on the host that is wrong: {_SET}")
    return ok(
        "clock", f"no peer's is more than {5.0:.0f} s off" if offsets else "no peer has told its own yet"
    )


_SET: Final = "`timedatectl set-ntp true`, or set it by hand"
