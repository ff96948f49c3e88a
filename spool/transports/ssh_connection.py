"""A logged-in ssh connection, through jump hosts where there are any; every step has a time limit."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from spool.config import Peer
from spool.errors import AuthRefused, CannotResolve, LinkError, NoSpoolThere, TimedOut, Unreachable
from spool.transports import ssh_identity, ssh_keys
from spool.transports.ssh_settings import Hop

# Old and broken: CBC and 3DES (Terrapin, CVE-2023-48795), MD5 and SHA-1.
DISABLED: Final = {
    "ciphers": ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1", "hmac-sha1-96"],
}
DEAD_AFTER_MS: Final = 10_000  # TCP_USER_TIMEOUT: what was sent must be acknowledged by then
GRACE_S: Final = 5.0  # paramiko's own limits, behind ours
JOIN_S: Final = 2.0
LOOK_S: Final = 1.0
_UP: Final = "is the host up, with its sshd on that port?"
# Names differ by platform; what a platform lacks is left out.
_SOCKET_OPTIONS: Final = (
    ("IPPROTO_TCP", "TCP_NODELAY", 1),  # paramiko never sets it: 44 ms instead of 0.3 for a small message
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 5),
    ("IPPROTO_TCP", "TCP_KEEPALIVE", 5),  # macOS's name for it
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 2),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", DEAD_AFTER_MS),
)


class Connection:
    """The way to a host. Steps in this order: `reach`, `login`, and so on for each hop, then `run`.

    `close` may be called from any thread and at any time; it ends every wait.
    """

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._socket: socket.socket | None = None
        self._transports: list[_Transport] = []

    def reach(self, hop: Hop, pinned: paramiko.PKey | None = None) -> None:
        """Connect to a host (from the one before, if there is one) and check its key.

        Raises:
            CannotResolve, Unreachable, TimedOut: no ssh connection.
            HostKeyChanged, HostKeyUnknown: there is one, to a host we do not trust.
        """
        expected = [pinned] if pinned is not None else ssh_keys.known_keys(hop)
        shown = self.handshake(hop, expected)
        ssh_keys.check(hop, shown, expected)

    def handshake(self, hop: Hop, expected: Sequence[paramiko.PKey] = ()) -> paramiko.PKey:
        """Connect to a host and return the key it shows, unchecked."""
        transport = _Transport(self._way_to(hop), disabled_algorithms=DISABLED)
        self._transports.append(transport)
        limit = self._step_s + GRACE_S
        transport.banner_timeout = transport.handshake_timeout = limit
        transport.auth_timeout = transport.channel_timeout = limit
        transport.get_security_options().key_types = ssh_keys.algorithms(expected)
        agreed = threading.Event()
        with self._step(hop, "the ssh handshake"):
            transport.start_client(event=agreed)
            agreed.wait(limit)
            if not transport.is_active() or not agreed.is_set():
                raise transport.get_exception() or paramiko.SSHException("the connection was closed")
            # paramiko looks ten times a second whether it was closed; `cut` wakes it.
            transport.sock.settimeout(LOOK_S)
            return transport.get_remote_server_key()

    def login(self, hop: Hop, offer: ssh_identity.Keys, *, hint: str) -> None:
        """Log in to the host reached last, with the first of the keys that it takes.

        Raises:
            AuthRefused: it takes none of them.
            Unreachable, TimedOut: the connection broke meanwhile.
        """
        for key in offer.keys:
            with self._step(hop, "the login"):
                try:
                    taken = self._takes(hop, key, hint)
                except AuthRefused:
                    offer.took(None)
                    raise
            if taken:
                offer.took(key)
                return
        offer.took(None)
        notes = [f"{len(offer.keys)} key{'s' * (len(offer.keys) != 1)} offered", *offer.notes]
        raise AuthRefused(f"{hop.where}: the login as {hop.user} was refused ({'; '.join(notes)})", hint=hint)

    def run(
        self,
        hop: Hop,
        command: str,
        *,
        what: str = "starting the far spool",
        error: type[LinkError] = NoSpoolThere,
    ) -> paramiko.Channel:
        """Start a command on the host logged in to last; no pty, nothing forwarded.

        Raises:
            LinkError: of the kind `error`: the host refuses to run commands.
            TimedOut: no answer to that.
        """
        with self._step(hop, what, error):
            channel = self._transports[-1].open_session()
            channel.exec_command(command)
        return channel

    def subsystem(self, hop: Hop, name: str) -> paramiko.Channel | None:
        """Start a subsystem on the host logged in to last; None where the host refuses it.

        Raises:
            Unreachable, TimedOut: the connection broke meanwhile, or it takes no more sessions.
        """
        with self._step(hop, f"starting {name}"):
            channel = self._transports[-1].open_session()
            try:
                channel.invoke_subsystem(name)
            except paramiko.SSHException:
                if not self.is_up():
                    raise
                return None
        return channel

    def transport(self) -> paramiko.Transport:
        """paramiko's own, of the host logged in to last."""
        return self._transports[-1]

    def is_up(self) -> bool:
        """Whether the connection still stands; waits a moment for a thread that is about to end."""
        self._transports[-1].join(0.2)
        return self._transports[-1].is_alive()

    def close(self) -> None:
        """End it, leaving no thread behind. May be called twice; never raises."""
        self.cut()
        for transport in reversed(self._transports):
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                transport.close()
            if transport.ident is not None:
                transport.join(JOIN_S)
            # Ends the timer of a handshake that failed; it would hold the process for its whole time.
            transport.packetizer.complete_handshake()
        if self._socket is not None:
            self._socket.close()

    def _way_to(self, hop: Hop) -> socket.socket | paramiko.Channel:
        if not self._transports:
            self._socket = _connect(hop, self._step_s)
            return self._socket
        with self._step(hop, "connecting through the jump host"):
            target = (hop.hostname, hop.port)
            return self._transports[-1].open_channel("direct-tcpip", target, ("127.0.0.1", 0))

    def _takes(self, hop: Hop, key: paramiko.PKey, hint: str) -> bool:
        transport = self._transports[-1]
        try:
            wanted_too = transport.auth_publickey(hop.user, key)
        except paramiko.BadAuthenticationType as exc:
            raise AuthRefused(f"{hop.where}: it takes no keys, only {exc.allowed_types}", hint=hint) from exc
        except paramiko.AuthenticationException as exc:
            if transport.is_active():
                return False
            # With MaxAuthTries used up sshd says goodbye instead of no; anything else is a broken line.
            if "authentication" in transport.farewell.lower():
                raise AuthRefused(f"{hop.where}: {hop.user}: {transport.farewell}", hint=hint) from exc
            raise
        except paramiko.SSHException as exc:
            if isinstance(key, paramiko.AgentKey) and ("agent" in str(exc) or "signing" in str(exc)):
                raise AuthRefused(f"{hop.where}: the ssh agent did not sign: {exc}", hint=hint) from exc
            raise
        if wanted_too:
            raise AuthRefused(f"{hop.where}: the key is not enough, it also wants {wanted_too}", hint=hint)
        return True

    @contextlib.contextmanager
    def _step(self, hop: Hop, what: str, error: type[LinkError] = Unreachable) -> Iterator[None]:
        """Bound one exchange in time and translate its failures.

        paramiko waits without end in places (an exec request, the agent), and its own limits do not
        cover the rest: when the time is over the socket is shut down, which ends every wait at once.
        """
        late = threading.Event()
        limit = f"{self._step_s:g} s"
        too_late = TimedOut(f"{hop.where}: {what} took longer than {limit}", hint="is the host well?")

        def expire() -> None:
            late.set()
            self.cut()

        timer = threading.Timer(self._step_s, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as exc:
            if late.is_set():
                raise too_late from exc
            problem = str(exc) or "the connection was closed"
            raise error(f"{hop.where}: {what} failed: {problem}", hint=_hint(exc)) from exc
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise too_late

    def cut(self) -> None:
        """End every wait at once, from any thread; `close` is still to be called."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class _Transport(paramiko.Transport):
    """paramiko's, which keeps what the host said in parting and does not shout into the log.

    Every failure reaches us as an exception and is logged where it is answered; paramiko's
    own ERROR lines with a traceback, for a refused connection, would be the second time.
    """

    farewell = ""

    def _log(self, level: int, msg: str | list[str], *args: object) -> None:
        for line in msg if isinstance(msg, list) else [msg]:
            self.logger.log(min(level, logging.DEBUG), line, *args)

    def _parse_disconnect(self, m: paramiko.Message) -> None:
        m.get_int()
        self.farewell = m.get_text()


def travel(hops: Sequence[Hop], peer: Peer, connection: Connection, home: Path | None) -> None:
    """Log in to each jump host in turn, with the user's keys or else with spool's."""
    for hop in hops:
        connection.reach(hop)
        with ssh_identity.user_keys(hop, timeout_s=peer.connect_timeout_s, home=home) as offer:
            if not offer.keys and home is not None:
                offer = ssh_identity.spool_key(home)
            hint = f"it is a jump host: `ssh {hop.host}` must work without a password"
            connection.login(hop, offer, hint=hint)


def _connect(hop: Hop, timeout_s: float) -> socket.socket:
    try:
        sock = socket.create_connection((hop.hostname, hop.port), timeout=timeout_s)
    except (socket.gaierror, UnicodeError) as exc:
        raise CannotResolve(f"{hop.where}: {exc}") from exc
    except TimeoutError as exc:
        raise TimedOut(f"{hop.where}: no connection within {timeout_s:g} s", hint=_UP) from exc
    except OSError as exc:
        raise Unreachable(f"{hop.where}: {exc.strerror or exc}", hint=_UP) from exc
    for level, name, value in _SOCKET_OPTIONS:
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                sock.setsockopt(getattr(socket, level), getattr(socket, name), value)
    return sock


def _hint(exc: BaseException) -> str:
    if "protocol banner" in str(exc):
        return "sshd there is full (MaxStartups), holds a penalty against our address, or is no sshd"
    if isinstance(exc, IncompatiblePeer):
        return "its sshd knows only old algorithms: upgrade it, or use an exec:ssh url"
    if isinstance(exc, paramiko.ChannelException):
        return "see the sshd log there: forwarding or sessions may be forbidden"
    return "see the sshd log there; `spool peer check` goes through it step by step"
