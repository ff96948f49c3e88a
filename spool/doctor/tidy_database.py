"""Repairs of the database: its log, indices and words, leases that nobody can hold, the count of files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from spool import attachments, presence, sweep
from spool.doctor import database
from spool.doctor.finding import Case, counted
from spool.doctor.repair import Repair
from spool.errors import StoreBusy, StoreError
from spool.folder import Folder
from spool.store import copying, tidying
from spool.store.sqlite import SqliteStore

MB: Final = 1024 * 1024
# SQLite keeps its log at the size it once had; some megabytes are as usual.
WORTH_BYTES: Final = 16 * MB
PATIENCE_S: Final = 5.0
# Indexed within some seconds. For more, nobody should be there who would wait for it.
MANY: Final = 100_000
_NO_LIMIT: Final = -1


def look(case: Case, store: SqliteStore) -> list[Repair]:
    """What may be repaired in the database; nothing where it is damaged beyond what can be made again."""
    damage = [] if case.quick else copying.damage(store.path)
    if damage:
        return list(_damage(case, store, damage))
    try:
        return list(_whole(case, store))
    except StoreError:
        # Not a thing to repair: the check that follows tells what it is.
        return []


def _whole(case: Case, store: SqliteStore) -> Iterator[Repair]:
    yield from _leases(case, store)
    if sweep.is_steady(store, case.now):
        yield from _files(case, store)
    size = database.log_bytes(store)
    if size > WORTH_BYTES:
        yield Repair("database", f"write {size // MB:,} MB of SQLite's log back", partial(_checkpoint, store))


def _damage(case: Case, store: SqliteStore, damage: list[str]) -> Iterator[Repair]:
    if (found := tidying.mendable(store.path, damage)) is None:
        return
    if found.indices:
        what = f"make indices again: {', '.join(found.indices)}"
        yield Repair("database", what, partial(tidying.reindex, store.path, found.indices))
    if found.words:
        yield Repair(
            "database", "index the words of the archive anew", partial(_words, case, store, found.words)
        )


def _words(case: Case, store: SqliteStore, tables: list[str]) -> None:
    with store.read() as tx:
        many = tx.sweepings.archived() > MANY
    if many and presence.living(case.home / "run"):
        raise StoreBusy("the archive is large, and who sends meanwhile would wait", hint="`spool down` first")
    tidying.rebuild_words(store.path, tables)


def _leases(case: Case, store: SqliteStore) -> Iterator[Repair]:
    with store.read() as tx:
        stuck = tx.sweepings.stuck(now=case.now)
    if stuck:
        what = f"free {counted(stuck, 'lease')} of a clock that has leapt since"
        yield Repair("mail", what, partial(_free, store, case.now))


def _free(store: SqliteStore, now: float) -> None:
    with store.write(sync=True) as tx:
        tx.sweepings.free_stuck(now=now)


def _files(case: Case, store: SqliteStore) -> Iterator[Repair]:
    present = Folder(case.home).found()
    with store.read() as tx:
        known = tx.attachments.names()
        unneeded = tx.attachments.unneeded(
            whole_before=case.now - attachments.WHOLE_S,
            part_before=case.now - attachments.PART_S,
            limit=_NO_LIMIT,
        )
    # A part is counted before its first byte is there.
    if gone := sorted(name for name in known - present.keys() if len(name) == 64):
        what = f"count {counted(len(gone), 'attachment')} no more that are not there"
        yield Repair("disk", what, partial(_recount, case, store, gone))
    strays, idle = len(present.keys() - known), len(set(unneeded) & present.keys())
    if strays or idle:
        # What is counted only now goes an hour later, or a day where it is a part.
        what = (
            f"in attachments/, count {strays} files that are uncounted and remove {idle} that nothing needs"
        )
        yield Repair("disk", what, partial(attachments.forget, store, case.home, now=case.now))


def _recount(case: Case, store: SqliteStore, names: list[str]) -> None:
    with store.write(sync=False) as tx:
        present = Folder(case.home).found()
        for name in names:
            if name not in present:
                tx.attachments.free(name)


def _checkpoint(store: SqliteStore) -> None:
    if not tidying.checkpoint(store.path, patience_s=PATIENCE_S):
        raise StoreBusy(f"{store.path}: somebody reads it all the time", hint="`spool down`, then again")
