"""The tables over one connection, each imported when it is first asked for: a `send` needs few of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spool.store.sqlite_attachments import SqliteAttachments
    from spool.store.sqlite_escalations import SqliteEscalations
    from spool.store.sqlite_files import SqliteKeptFiles
    from spool.store.sqlite_history import SqliteHistory
    from spool.store.sqlite_inbox import SqliteInbox
    from spool.store.sqlite_issues import SqliteIssues
    from spool.store.sqlite_ledger import SqliteLedger
    from spool.store.sqlite_loops import SqliteLoops
    from spool.store.sqlite_outbox import SqliteAcks, SqliteOutbox
    from spool.store.sqlite_peers import SqlitePeers
    from spool.store.sqlite_presence import SqlitePresence
    from spool.store.sqlite_quotas import SqliteQuotas
    from spool.store.sqlite_rows import Db
    from spool.store.sqlite_sessions import SqliteSessions
    from spool.store.sqlite_sweep import SqliteSweepings


class SqliteTx:
    """See `Tx`."""

    def __init__(self, connection: Db) -> None:
        self._db = connection

    @cached_property
    def outbox(self) -> SqliteOutbox:
        from spool.store.sqlite_outbox import SqliteOutbox

        return SqliteOutbox(self._db)

    @cached_property
    def inbox(self) -> SqliteInbox:
        from spool.store.sqlite_inbox import SqliteInbox

        return SqliteInbox(self._db)

    @cached_property
    def acks(self) -> SqliteAcks:
        from spool.store.sqlite_outbox import SqliteAcks

        return SqliteAcks(self._db)

    @cached_property
    def peers(self) -> SqlitePeers:
        from spool.store.sqlite_peers import SqlitePeers

        return SqlitePeers(self._db)

    @cached_property
    def presence(self) -> SqlitePresence:
        from spool.store.sqlite_presence import SqlitePresence

        return SqlitePresence(self._db)

    @cached_property
    def quotas(self) -> SqliteQuotas:
        from spool.store.sqlite_quotas import SqliteQuotas

        return SqliteQuotas(self._db)

    @cached_property
    def kept_files(self) -> SqliteKeptFiles:
        from spool.store.sqlite_files import SqliteKeptFiles

        return SqliteKeptFiles(self._db)

    @cached_property
    def attachments(self) -> SqliteAttachments:
        from spool.store.sqlite_attachments import SqliteAttachments

        return SqliteAttachments(self._db)

    @cached_property
    def sessions(self) -> SqliteSessions:
        from spool.store.sqlite_sessions import SqliteSessions

        return SqliteSessions(self._db)

    @cached_property
    def loops(self) -> SqliteLoops:
        from spool.store.sqlite_loops import SqliteLoops

        return SqliteLoops(self._db)

    @cached_property
    def escalations(self) -> SqliteEscalations:
        from spool.store.sqlite_escalations import SqliteEscalations

        return SqliteEscalations(self._db)

    @cached_property
    def issues(self) -> SqliteIssues:
        from spool.store.sqlite_issues import SqliteIssues

        return SqliteIssues(self._db)

    @cached_property
    def sweepings(self) -> SqliteSweepings:
        from spool.store.sqlite_sweep import SqliteSweepings

        return SqliteSweepings(self._db)

    @cached_property
    def history(self) -> SqliteHistory:
        from spool.store.sqlite_history import SqliteHistory

        return SqliteHistory(self._db)

    @cached_property
    def ledger(self) -> SqliteLedger:
        from spool.store.sqlite_ledger import SqliteLedger

        return SqliteLedger(self._db)
