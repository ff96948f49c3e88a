"""From a peer's url to a logged-in connection: the way there, its host key, and which key to offer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from spool.config import Peer, parse_ssh
from spool.transports import ssh_identity, ssh_keys, ssh_settings
from spool.transports.ssh_connection import Connection, travel
from spool.transports.ssh_settings import Hop


def arrive(peer: Peer, home: Path, *, hint: str, ssh_config: Path | None = None) -> tuple[Connection, Hop]:
    """Log in to a peer's host with the key that the peer asks for.

    `hint` says what to do where spool's own key is refused; `ssh_config` is read in the place
    of ~/.ssh/config. Each step takes at most `connect_timeout_s`.

    Raises:
        LinkError: of the kind that says which step failed.
        BadConfig: ssh's or spool's config asks for what cannot be done.
    """
    *jumps, last = ssh_settings.route(parse_ssh(peer.url), config=ssh_config)
    pinned = ssh_keys.pinned_key(peer)
    with closed_if_failed(Connection(peer.connect_timeout_s)) as connection:
        travel(jumps, peer, connection, home)
        connection.reach(last, pinned)
        _login(connection, last, peer, home, hint)
        return connection, last


@contextlib.contextmanager
def closed_if_failed(connection: Connection) -> Iterator[Connection]:
    """Close the connection if the block fails."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _login(connection: Connection, hop: Hop, peer: Peer, home: Path, hint: str) -> None:
    if peer.identity == "spool":
        # One key, one attempt: a host that bans for failed logins must not ban us.
        connection.login(hop, ssh_identity.spool_key(home), hint=hint)
        return
    with ssh_identity.user_keys(hop, timeout_s=peer.connect_timeout_s, home=home) as offer:
        connection.login(hop, offer, hint=f"`ssh {hop.host}` must work without a password")
