"""Breaks of who holds what, and of whose word counts."""

from __future__ import annotations

from typing import Final

from tests.breaks.base import MACHINE, Break, Edit

_INBOX: Final = "spool/store/sqlite_inbox.py"
_OUTBOX: Final = "spool/store/sqlite_outbox.py"
_INBOX_TESTS: Final = "tests/contract/test_store_inbox.py"
_LEASE_TESTS: Final = "tests/contract/test_store_leases.py"
_FREE: Final = "      AND (lease_until <= ?4 OR lease_until > ?4 + 3600 OR lease >> 32 <> ?6)\n"

LEASES: Final = (
    Break(
        "lease-without-token",
        "an older link lets go of what a newer one holds by now, or puts it off",
        (
            Edit(
                _OUTBOX,
                '"UPDATE outbox SET lease_until = 0 WHERE seq = ? AND lease = ?"',
                '"UPDATE outbox SET lease_until = 0 WHERE seq = ? AND ? > 0"',
            ),
            Edit(
                _OUTBOX,
                '" WHERE seq = ? AND lease = ? AND due IS NOT NULL"',
                '" WHERE seq = ? AND ? > 0 AND due IS NOT NULL"',
            ),
        ),
        (_LEASE_TESTS,),
    ),
    Break(
        "late-worker-settles",
        "a link that was taken over says refused, and the message that the newer one carries is dead",
        (
            Edit(
                "spool/outbox.py",
                "tx.outbox.bury(parcel.seq, now=now, reason=reason, lease=parcel.lease)",
                "tx.outbox.bury(parcel.seq, now=now, reason=reason)",
            ),
        ),
        ("tests/machine/test_promises.py", MACHINE),
    ),
    Break(
        "late-reader-settles",
        "a reader that took too long ends a message that another one works on",
        (
            Edit(
                _INBOX,
                '" AND (?5 IS NULL OR (lease = ?5 AND lease_until > 0))"',
                '" AND (?5 IS NULL OR ?5 > 0)"',
            ),
        ),
        (_INBOX_TESTS, MACHINE),
    ),
    Break(
        "give-back-without-token",
        "a reader that took too long frees a message that another one works on: a third takes it",
        (
            Edit(
                _INBOX,
                '"UPDATE inbox SET lease_until = 0 WHERE seq = ? AND lease = ? AND lease_until > 0"',
                '"UPDATE inbox SET lease_until = 0 WHERE seq = ? AND ? > 0 AND lease_until > 0"',
            ),
        ),
        (MACHINE,),
    ),
    Break(
        "renewal-without-token",
        "a reader that lost its message goes on in the belief that it holds it",
        (
            Edit(
                _INBOX,
                '"UPDATE inbox SET lease_until = ? WHERE seq = ? AND lease = ? AND lease_until > 0"',
                '"UPDATE inbox SET lease_until = ? WHERE seq = ? AND ? > 0 AND lease_until > 0"',
            ),
        ),
        (_INBOX_TESTS,),
    ),
    Break(
        "reader-lease-never-ends",
        "what a reader held when it was killed is never read",
        (
            Edit(
                _INBOX,
                '" AND (lease_until <= ?4 OR lease_until > ?4 + 3600) ORDER BY priority, seq LIMIT 1)"',
                '" AND lease_until = 0 AND ?4 > 0 ORDER BY priority, seq LIMIT 1)"',
            ),
        ),
        (_INBOX_TESTS,),
    ),
    Break(
        "link-lease-never-ends",
        "what a link holds and nobody answers is not carried again as long as the link lives",
        (Edit(_OUTBOX, _FREE, "      AND (lease_until = 0 OR lease >> 32 <> ?6)\n"),),
        (_LEASE_TESTS, MACHINE),
    ),
    Break(
        "leased-twice",
        "a link leases what it has leased: each message goes out again and again until it is answered",
        (Edit(_OUTBOX, _FREE, ""),),
        (_LEASE_TESTS, MACHINE),
    ),
    Break(
        "two-readers-of-one",
        "two readers of an agent work on the same message",
        (
            Edit(
                _INBOX,
                '" AND (lease_until <= ?4 OR lease_until > ?4 + 3600) ORDER BY priority, seq LIMIT 1)"',
                '" AND ?4 > 0 ORDER BY priority, seq LIMIT 1)"',
            ),
        ),
        (MACHINE,),
    ),
    Break(
        "older-link-leases-acks",
        "a link that was taken over takes acks from the newer one, and its far end may be gone",
        (
            Edit(
                _OUTBOX,
                '" ORDER BY seq LIMIT ?5) AND (SELECT generation FROM peers WHERE name = ?3) = ?6"',
                '" ORDER BY seq LIMIT ?5)"',
            ),
        ),
        (MACHINE,),
    ),
    Break(
        "acks-given-back-without-token",
        "an older link frees the acks that a newer one carries",
        (
            Edit(
                _OUTBOX,
                '"UPDATE acks SET lease_until = 0 WHERE seq = ? AND lease = ?"',
                '"UPDATE acks SET lease_until = 0 WHERE seq = ? AND ? > 0"',
            ),
        ),
        (MACHINE,),
    ),
)
