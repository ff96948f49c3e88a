"""A pipe to the far spool over ssh: one connection, one channel, one far command."""

from __future__ import annotations

import contextlib
import shlex
import threading
from pathlib import Path
from typing import Final

import paramiko

from spool.config import Peer, parse_ssh
from spool.errors import LinkLost
from spool.transports import ssh_keys, ssh_login, ssh_settings
from spool.transports.base import Pipe
from spool.transports.lastwords import LastWords
from spool.transports.ssh_connection import Connection, travel
from spool.transports.ssh_keys import fingerprint, key_line

__all__ = ["SshPipe", "dial", "fetch_host_key", "fingerprint", "key_line", "known_key", "remote_command"]

MOMENT_S: Final = 1.0  # for the last words and the exit status, once stdout has ended
READ_BYTES: Final = 4096

# A far shell that was not logged in to has a short PATH. No single quotes, no !, no line ends:
# the user's own shell reads it first, and that may be fish or csh.
_FIND_SPOOL: Final = (
    'for s in "$(command -v spool)" "$HOME/.local/bin/spool" "$HOME/.local/share/spool/venv/bin/spool"; '
    'do if [ -f "$s" ] && [ -x "$s" ]; then exec "$s" serve --peer "$1"; fi; done; '
    'echo "spool: not found" >&2; exit 127'
)


def dial(peer: Peer, home: Path, *, as_name: str, ssh_config: Path | None = None) -> Pipe:
    """Log in to the host of an `ssh://` url and start the far spool.

    `as_name` is this host's name as the far spool knows it; `ssh_config` is read in the
    place of ~/.ssh/config. Each step takes at most `connect_timeout_s`.

    Raises:
        LinkError: of the kind that says which step failed.
        BadConfig: ssh's or spool's config asks for what cannot be done.
    """
    hint = f'on that host: `spool peer authorize {as_name} KEY-FILE`; or here: identity = "user"'
    connection, last = ssh_login.arrive(peer, home, hint=hint, ssh_config=ssh_config)
    with ssh_login.closed_if_failed(connection):
        channel = connection.run(last, peer.remote_command or remote_command(as_name))
        return SshPipe(connection, channel, last.where)


def fetch_host_key(peer: Peer, *, home: Path | None = None, ssh_config: Path | None = None) -> paramiko.PKey:
    """Return the key that the peer's host shows now, for a person to compare; nothing is accepted.

    Jump hosts on the way must be known; where the user has no key for them, that of `home` is offered.

    Raises:
        LinkError, BadConfig: as `dial`.
    """
    *jumps, last = ssh_settings.route(parse_ssh(peer.url), config=ssh_config)
    connection = Connection(peer.connect_timeout_s)
    try:
        travel(jumps, peer, connection, home)
        pinned = ssh_keys.pinned_key(peer)
        return connection.handshake(last, [pinned] if pinned is not None else ssh_keys.known_keys(last))
    finally:
        connection.close()


def known_key(peer: Peer, *, ssh_config: Path | None = None) -> paramiko.PKey | None:
    """Return the key that known_hosts has for the peer's host, the strongest type first; None if none."""
    hop = ssh_settings.hop(parse_ssh(peer.url), config=ssh_config)
    return next(iter(ssh_keys.known_keys(hop)), None)


def remote_command(as_name: str) -> str:
    """The command that finds spool where a short PATH does not, and serves us as `as_name`.

    Where the far authorized_keys has a command of its own for our key, that one runs instead.
    """
    return f"exec sh -c '{_FIND_SPOOL}' spool {shlex.quote(as_name)}"


class SshPipe:
    """A far command over an ssh channel; see `Pipe` for the promise."""

    def __init__(self, connection: Connection, channel: paramiko.Channel, where: str) -> None:
        self._connection = connection
        self._channel = channel
        self._where = where
        self._closed = threading.Event()
        self._words = LastWords()
        self._listener = threading.Thread(target=self._listen, name=f"stderr of {where}", daemon=True)
        self._listener.start()

    def send(self, frames: bytes) -> None:
        """Write all of it to the far command's stdin."""
        try:
            self._channel.sendall(frames)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self._lost(str(exc)) from exc
        if self._channel.closed:
            # paramiko drops without a word what is sent while the connection dies.
            raise self._lost("the channel is closed")

    def receive(self, max_bytes: int) -> bytes:
        """Return what the far command wrote to stdout; b"" when it closed it."""
        try:
            got = self._channel.recv(max_bytes)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise self._lost(str(exc)) from exc
        if got:
            return got
        # paramiko says b"" as well for a connection that broke.
        if self._closed.is_set() or not (self._channel.eof_received or self._connection.is_up()):
            raise self._lost("the connection broke")
        return b""

    def close(self) -> None:
        """End the connection; the far command sees its stdin end."""
        self._closed.set()
        self._connection.close()
        self._listener.join(MOMENT_S)

    def last_words(self) -> str:
        """What the far command said last on stderr, and its exit status."""
        status = self.exit_status()
        if self._over():
            self._listener.join(MOMENT_S)
        return self._words.text("" if status is None else f"exit status {status}")

    def exit_status(self) -> int | None:
        """The far command's exit status; None while it runs, or where a signal ended it."""
        if self._over():
            self._channel.status_event.wait(MOMENT_S)
        return self._channel.exit_status if self._channel.exit_status >= 0 else None

    def _over(self) -> bool:
        return bool(self._channel.eof_received or self._channel.closed)

    def _lost(self, problem: str) -> LinkLost:
        if self._closed.is_set():
            problem = "the link was closed on this side"
        return LinkLost(f"{self._where}: {problem or 'the connection broke'}")

    def _listen(self) -> None:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            while piece := self._channel.recv_stderr(READ_BYTES):
                self._words.feed(piece)
