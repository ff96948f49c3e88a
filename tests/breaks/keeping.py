"""Breaks of what is kept, how often, and for how long."""

from __future__ import annotations

from typing import Final

from tests.breaks.base import MACHINE, Break, Edit

_INBOX: Final = "spool/inbox.py"
_LEDGER: Final = "spool/store/sqlite_ledger.py"
_SQL: Final = "spool/store/sql/0001_init.sql"
_ARCHIVE: Final = "spool/store/sqlite_archive.py"
_SWEEP_TESTS: Final = "tests/contract/test_store_sweepings.py"
_PROMISES: Final = "tests/machine/test_promises.py"
_SEEN: Final = "(seen := tx.ledger.seen(message.sender, message.id)) is not None"
_REMEMBERS_ANEW: Final = Edit(_LEDGER, '"INSERT INTO seen (', '"INSERT OR REPLACE INTO seen (')
_OPENS: Final = """\
    with store.write(sync=True) as tx:
        taking.open(tx, room)
"""
_REMEMBERS_FIRST: Final = """\
    with store.write(sync=True) as tx:
        whole = [message for message in parsed if isinstance(message, Message)]
        fresh = [message for message in whole if tx.ledger.seen(message.sender, message.id) is None]
        taking.fresh = {(message.sender, message.id) for message in fresh}
        for message in fresh:
            tx.ledger.remember(message.sender, message.id, Seen(message.digest, now, True))
"""

KEEPING: Final = (
    Break(
        "no-dedup",
        "a message whose answer was lost is in the inbox twice",
        (
            Edit(_INBOX, _SEEN, "(seen := None) is not None"),
            _REMEMBERS_ANEW,
            Edit(
                "spool/store/sqlite_inbox.py",
                '" WHERE NOT EXISTS (SELECT 1 FROM inbox_archive WHERE id = ?1 AND sender = ?2)"',
                '" WHERE true"',
            ),
            Edit(
                _SQL,
                "BLOB NOT NULL,\n  UNIQUE (id, sender)\n) STRICT;\nCREATE INDEX inbox_open",
                "BLOB NOT NULL\n) STRICT;\nCREATE INDEX inbox_open",
            ),
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "no-dedup-at-a-relay",
        "a copy of what a relay has carried and archived is carried once more",
        (
            Edit(_INBOX, _SEEN, f"{_SEEN} and seen.final"),
            _REMEMBERS_ANEW,
            Edit(
                "spool/store/sqlite_outbox.py",
                "        if self._archived(row.id, row.sender):\n",
                "        if row.origin is None and self._archived(row.id, row.sender):\n",
            ),
        ),
        (_PROMISES,),
    ),
    Break(
        "dedup-forgotten-soon",
        "a copy that comes late may be taken for another message: its record is gone after a minute",
        (
            Edit(
                "spool/sweep.py",
                "forget_seen(before=now - host.dedup_s, limit=BATCH)",
                "forget_seen(before=now - 60.0, limit=BATCH)",
            ),
        ),
        ("tests/unit/test_sweep.py",),
    ),
    Break(
        "taken-in-two-commits",
        "killed between its dedup record and its row, a message is known to be here, and is not",
        (
            Edit(_INBOX, _OPENS, _REMEMBERS_FIRST + _OPENS),
            Edit(_INBOX, _SEEN, f"{_SEEN} and (message.sender, message.id) not in self.fresh"),
            _REMEMBERS_ANEW,
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "commits-not-synced",
        "a power cut takes back what `send` has promised and what a far host was told",
        (
            Edit(
                "spool/store/sqlite.py",
                'synchronous = "FULL" if kind == "full" else "NORMAL"',
                'synchronous = "NORMAL"',
            ),
        ),
        ("tests/unit/test_sqlite.py", _PROMISES),
    ),
    Break(
        "inbox-not-synced",
        "a power cut takes back what the sender was told is here",
        (
            Edit(
                _INBOX,
                _OPENS,
                _OPENS.replace("sync=True", "sync=False"),
            ),
        ),
        (_PROMISES,),
    ),
    Break(
        "archived-without-copy",
        "what is done is gone for good: no search finds it, and a late ack is for an unknown message",
        (
            Edit(
                _ARCHIVE,
                'SELECT {columns} FROM {side} WHERE seq = ?", past),',
                'SELECT {columns} FROM {side} WHERE seq = ?", []),',
            ),
        ),
        (_SWEEP_TESTS,),
    ),
    Break(
        "archived-without-delete",
        "a message stands in two places, and the live tables grow for ever",
        (Edit(_ARCHIVE, '(f"DELETE FROM {side} WHERE seq = ?", past),', ""),),
        (_SWEEP_TESTS,),
    ),
    Break(
        "taken-mail-expires",
        "a message that its agent has in hand is dead at its sender when its lifetime is over",
        (
            Edit(
                "spool/store/sqlite_sweep.py",
                'f"SELECT {_OUT} FROM outbox WHERE due IS NOT NULL AND expires_at <= ?1"',
                'f"SELECT {_OUT} FROM outbox WHERE expires_at <= ?1"',
            ),
        ),
        ("tests/unit/test_sweep.py",),
    ),
    Break(
        "quota-counted-twice",
        "a peer is stopped at half of what it may bring, and its count never goes back to none",
        (
            Edit(
                "spool/store/sqlite_quotas.py",
                'DO UPDATE SET messages = messages + excluded.messages,"',
                'DO UPDATE SET messages = messages + 2 * excluded.messages,"',
            ),
        ),
        ("tests/contract/test_store_quotas.py", MACHINE),
    ),
    Break(
        "states-go-back",
        "a word that comes late makes a message that was read one that was only received",
        (
            Edit(
                "spool/store/sqlite_outbox.py",
                "WHERE {key} AND state IN ({sources})",
                "WHERE {key} AND state NOT IN ('{{')",
            ),
        ),
        ("tests/contract/test_store_outbox.py",),
    ),
)
