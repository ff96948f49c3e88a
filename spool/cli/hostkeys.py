"""Whether an ssh host's key may be accepted: pinned, known, compared, or shown to a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spool.config import Peer, parse_ssh
from spool.errors import HostKeyChanged, HostKeyUnknown, LinkError
from spool.transports import ssh_keys, ssh_settings
from spool.transports.ssh import fetch_host_key, fingerprint, key_line


def accepted(peer: Peer, home: Path, *, wanted: str | None, ask: Callable[[str], bool] | None) -> str:
    """The key to pin for a peer, as `host_key` has it.

    Args:
        wanted: the fingerprint that the key must have.
        ask: shows a fingerprint to a person; None where there is nobody to ask.

    Raises:
        HostKeyChanged: another key than the accepted or the wanted one.
        HostKeyUnknown: nobody has accepted this key.
        LinkError: the host cannot be reached, and no key of it is known.
    """
    hop = ssh_settings.hop(parse_ssh(peer.url))
    pinned = ssh_keys.pinned_key(peer)
    expected = [pinned] if pinned is not None else ssh_keys.known_keys(hop)
    try:
        shown = fetch_host_key(peer, home=home)
    except LinkError:
        if expected and wanted is None:
            # It is down now; what was accepted before is accepted still.
            return key_line(expected[0])
        raise
    print_ = fingerprint(shown)
    if wanted is not None:
        if wanted.removeprefix("SHA256:").rstrip("=") != print_.removeprefix("SHA256:"):
            raise HostKeyChanged(
                f"{hop.where}: its host key is {shown.get_name()} {print_}, not {wanted}",
                hint="compare both on the host itself with `ssh-keygen -l`",
            )
        ssh_keys.check(hop, shown, [shown])
        return key_line(shown)
    try:
        ssh_keys.check(hop, shown, expected)
    except HostKeyUnknown as exc:
        if ask is None:
            raise HostKeyUnknown(
                f"{hop.where}: its host key {shown.get_name()} {print_} was never accepted here",
                hint="compare it on the host with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`,"
                " then run this again with --fingerprint",
            ) from exc
        if not ask(f"{hop.where} shows the host key {shown.get_name()} {print_}"):
            raise HostKeyUnknown(f"{hop.where}: its host key was not accepted") from exc
    return key_line(shown)
