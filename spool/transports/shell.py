"""A far shell that runs our fixed script and answers its requests in records; see `scp_scripts`."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from typing import Final

from spool.errors import LinkLost
from spool.transports.scp_scripts import COMMAND
from spool.transports.ssh_channel import Wire
from spool.transports.ssh_connection import Connection
from spool.transports.ssh_settings import Hop

READ_BYTES: Final = 128 * 1024
# The far sshd takes that much of a request, however little the script has read of it: so neither
# side waits for the other to read.
REQUEST_BYTES: Final = 1024 * 1024


class Shell:
    """The script on the host that a connection is logged in to. One thread uses it.

    Args:
        closed: set once this side has closed the connection.
        stall_s: how long may go by without progress.
    """

    def __init__(self, connection: Connection, hop: Hop, *, closed: threading.Event, stall_s: float) -> None:
        channel = connection.run(hop, COMMAND, what="starting a shell there", error=LinkLost)
        self._wire = Wire(connection, channel, where=hop.where, closed=closed, stall_s=stall_s)
        self._where = hop.where
        self._closed = closed
        self._broken = False

    def ask(self, operation: str, words: Sequence[bytes | int], lines: Sequence[bytes] = ()) -> list[bytes]:
        """Ask for an operation of the script, with its words and lines; return its records.

        Raises:
            LinkLost, TimedOut: it did not come to its end; nothing more can be asked.
        """
        if self._closed.is_set() or self._broken:
            raise self._wire.lost("the connection broke before")
        self._broken = True  # unless it goes well
        token = secrets.token_hex(16).encode()
        written = [b"%d" % word if isinstance(word, int) else word for word in words]
        head = b" ".join([token, operation.encode(), b"%d" % len(lines), *written])
        said = self._exchange(b"\n".join([head, *lines, b""]), b"\n" + token + b" end\n")
        noise, *records = said.split(b"\n" + token + b" ")
        if len(records) < 2 or records[0] != b"begin":
            raise self._silent(noise)
        self._broken = False
        return records[1:-1]

    def _exchange(self, request: bytes, ending: bytes) -> bytes:
        """Send a request; return what came, up to its ending."""
        said = bytearray()
        with self._wire.bounded():
            self._wire.send(request)
            while not said.endswith(ending):
                piece = self._wire.receive_or_end(READ_BYTES)
                if not piece:
                    raise self._silent(bytes(said))
                said += piece
        return bytes(said)

    def _silent(self, said: bytes) -> LinkLost:
        heard = (self._wire.last_words() or said.decode("utf-8", "replace"))[-200:].strip()
        told = "".join(letter if letter.isprintable() else " " for letter in heard)
        return LinkLost(f"{self._where}: the far shell did not answer to the end: {told or 'nothing came'}")
