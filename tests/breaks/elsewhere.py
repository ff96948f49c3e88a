"""Breaks that the machine of states does not see: folders, holds, bells."""

from __future__ import annotations

from typing import Final

from tests.breaks.base import Break, Edit

_FILES: Final = "tests/contract/files/test_files_promise.py"

ELSEWHERE: Final = (
    Break(
        "rename-overwrites",
        "a message published into a local folder takes the place of another one",
        (
            Edit(
                "spool/transports/renaming.py",
                "ctypes.c_uint(RENAME_NOREPLACE)",
                "ctypes.c_uint(0)",
            ),
        ),
        (_FILES,),
    ),
    Break(
        "far-rename-overwrites",
        "a message published over SFTP takes the place of another one",
        (
            Edit(
                "spool/transports/sftp_packets.py",
                "return Request(RENAME, text(old) + text(new))",
                "return extended(POSIX_RENAME, text(old) + text(new))",
            ),
        ),
        (_FILES,),
    ),
    Break(
        "hold-leaks",
        "an agent that answers too often is said to be held, and its mail goes out",
        (
            Edit(
                "spool/store/sqlite_loops.py",
                "\"UPDATE outbox SET due = NULL, reason = ? WHERE seq = ? AND state = 'queued'\"",
                "\"UPDATE outbox SET reason = ? WHERE seq = ? AND state = 'queued'\"",
            ),
        ),
        ("tests/unit/test_loops_held.py",),
    ),
    Break(
        "held-mail-is-leased",
        "what is held for a person goes out with the next load",
        (
            Edit(
                "spool/store/sqlite_outbox.py",
                "WHERE peer = ?3 AND due IS NOT NULL AND (due <= ?4 OR",
                "WHERE peer = ?3 AND (due IS NULL AND state = 'queued' OR due <= ?4 OR",
            ),
            Edit("spool/store/sqlite_outbox.py", "FROM outbox INDEXED BY outbox_due\n", "FROM outbox\n"),
        ),
        ("tests/unit/test_loops_held.py",),
    ),
    Break(
        "nobody-rings-or-looks",
        "a message for a link that is up waits there: no bell is rung, and the link does not look",
        (
            Edit(
                "spool/doorbell.py",
                "def _ring(run: Path, ending: str) -> None:\n",
                "def _ring(run: Path, ending: str) -> None:\n    return\n",
            ),
            Edit(
                "spool/transports/link.py",
                "if self._gate.monotonic() - self._looked_at >= LOOK_S:",
                "if self._gate.monotonic() - self._looked_at >= 3600.0:",
            ),
        ),
        ("tests/acceptance/test_links.py",),
    ),
    Break(
        "nobody-looks",
        "where a ring is lost, the mail it was for waits for the next one",
        (
            Edit(
                "spool/transports/link.py",
                "if self._gate.monotonic() - self._looked_at >= LOOK_S:",
                "if self._gate.monotonic() - self._looked_at >= 3600.0:",
            ),
        ),
        ("tests/machine/test_promises.py",),
    ),
)
