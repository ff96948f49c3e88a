"""A far shell that runs fixed scripts and answers in records; see `scp_scripts`."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from typing import Final

from spool.errors import LinkLost
from spool.transports.ssh_channel import Wire
from spool.transports.ssh_connection import Connection
from spool.transports.ssh_settings import Hop

READ_BYTES: Final = 128 * 1024
# Read whole by the far sshd before the script has read a line: no answer is in the way of it.
INPUT_BYTES: Final = 256 * 1024


class Shell:
    """Runs scripts on the host that a connection is logged in to, one after the other.

    Args:
        closed: set once this side has closed the connection.
        stall_s: how long may go by without progress.
    """

    def __init__(self, connection: Connection, hop: Hop, *, closed: threading.Event, stall_s: float) -> None:
        self._connection = connection
        self._hop = hop
        self._closed = closed
        self._stall_s = stall_s

    def run(self, script: str, first: Sequence[bytes | int], lines: Sequence[bytes] = ()) -> list[bytes]:
        """Run one of our scripts with what its first line and the further ones hold; return its records.

        Raises:
            LinkLost, TimedOut: it did not come to its end.
        """
        if self._closed.is_set():
            raise LinkLost(f"{self._hop.where}: the connection was closed on this side")
        token = secrets.token_hex(16).encode()
        head = b" ".join([token, *(b"%d" % word if isinstance(word, int) else word for word in first)])
        said, words = self._exchange(script, b"\n".join([head, *lines, b""]))
        noise, *records = said.split(b"\n" + token + b" ")
        if len(records) < 2 or records[0] != b"begin" or records[-1] != b"end\n":
            heard = (words or noise.decode("utf-8", "replace"))[-200:].strip()
            told = "".join(letter if letter.isprintable() else " " for letter in heard)
            raise LinkLost(f"{self._hop.where}: the far shell did not answer to the end: {told or 'nothing'}")
        return records[1:-1]

    def _exchange(self, script: str, text: bytes) -> tuple[bytes, str]:
        channel = self._connection.run(self._hop, script, what="running a script there", error=LinkLost)
        wire = Wire(
            self._connection, channel, where=self._hop.where, closed=self._closed, stall_s=self._stall_s
        )
        try:
            with wire.bounded():
                wire.send(text)
                wire.end_of_input()
                pieces: list[bytes] = []
                while piece := wire.receive_or_end(READ_BYTES):
                    pieces.append(piece)
                return b"".join(pieces), wire.last_words()
        finally:
            wire.close()
