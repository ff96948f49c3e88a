"""The peers as this host knows them: how they stand, what lets them in, whom they name. No network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from spool import authorized, config, views, web_secret
from spool.api import Spool
from spool.config import Config, Peer
from spool.doctor.finding import Case, Finding, failed, ok, warning
from spool.errors import SpoolError
from spool.looking import ago
from spool.store.base import PeerRow


def look(case: Case) -> Iterator[Finding]:
    """Check what the config says of agents and peers, and how each peer stands."""
    if case.config is None:
        return
    if not case.config.host.agents:
        yield warning("config", "no agent reads here", "`spool agent add NAME`")
    if not case.config.peers:
        yield warning(
            "peers",
            "there is none",
            "`spool peer add NAME URL`, or `spool peer authorize` for one that dials us",
        )
    if case.spool is None:
        return
    with case.spool.store.read() as tx:
        rows = tx.peers.all()
    for name, peer in case.config.peers.items():
        row = rows.get(name) or PeerRow(name=name)
        found = [
            *_stands(case.spool, peer, row, case.now),
            *_is_let_in(case, peer),
            *_shares_a_secret(case, peer),
            *_host_key(peer),
            *_names(case.config, peer, row),
            *_quota(case.spool, peer, case.now),
        ]
        yield from found
        if all(each.level == "ok" for each in found):
            yield ok(f"peer {name}", _contact(views.peer_state(case.spool, peer, row), row, case.now))


def _contact(state: str, row: PeerRow, now: float) -> str:
    reached = "" if row.last_contact is None else f", last contact {ago(now - row.last_contact)} ago"
    version = f", spool {row.far_version}" if row.far_version else ""
    return f"{state}{reached}{version}"


def _stands(spool: Spool, peer: Peer, row: PeerRow, now: float) -> Iterator[Finding]:
    topic, state = f"peer {peer.name}", views.peer_state(spool, peer, row)
    if state == "stopped":
        remedy = f"mend that, then `spool peer resume {peer.name}`"
        yield failed(topic, f"stopped: {_why(row) or 'no reason is kept'}", remedy)
    elif state == "linked":
        return
    elif row.error:
        yield warning(topic, f"{_why(row)}; {_contact(state, row, now)}", f"`spool peer check {peer.name}`")
    elif row.last_contact is None:
        there = f"on that host: `spool peer check {spool.config.host.name}`"
        remedy = f"`spool peer check {peer.name}`" if peer.url else there
        yield warning(topic, f"{state}, never reached yet", remedy)


def _why(row: PeerRow) -> str:
    """The whole of the last error, on one line: its end says what to do."""
    kind = f"{row.error_kind}: " if row.error_kind else ""
    return " ".join(f"{kind}{row.error}".split()) if row.error else ""


def _quota(spool: Spool, peer: Peer, now: float) -> Iterator[Finding]:
    if (over := views.brought_by(spool, peer, now=now)["over_quota"]) is not None:
        yield warning(f"peer {peer.name}", over, views.quota_remedy(peer))


def _is_let_in(case: Case, peer: Peer) -> Iterator[Finding]:
    """A peer that dials us needs its line in authorized_keys, which sshd heeds and whose program is there."""
    if peer.url or web_secret.has_one(peer):
        return
    topic = f"peer {peer.name}"
    try:
        line = authorized.find(case.keys, peer=peer.name, home=case.home)
    except OSError as exc:
        yield warning(topic, f"{case.keys}: {exc.strerror}", f"make it readable: `ls -l {case.keys}`")
        return
    if line is None:
        found = f"it dials us, and {case.keys} has no line for it"
        yield warning(
            topic,
            found,
            f"`spool peer authorize {peer.name} KEY.pub`, with the key that its `spool init` printed",
        )
        return
    program = authorized.program(line)
    if shutil.which(program) is None:
        yield failed(topic, f"its line in {case.keys} starts {program}, which cannot be run", _again(peer))
    if authorized.rivals(case.keys, line):
        found = f"its key stands in {case.keys} more than once: the first line counts, forced command or not"
        yield failed(
            topic, found, f"`$EDITOR {case.keys}`: leave the line that ends in `serve --peer {peer.name}`"
        )
    if problem := authorized.strict_modes(case.keys):
        said, _, remedy = problem.partition(": ")
        yield failed(topic, said, remedy or f"`ls -ld {case.keys.parent}`: it must be yours")


def _shares_a_secret(case: Case, peer: Peer) -> Iterator[Finding]:
    """What it shares with us can be read; a command is not run for it."""
    if not web_secret.has_one(peer) or peer.secret_command:
        return
    try:
        web_secret.of(peer, case.home)
    except SpoolError as exc:
        yield failed(f"peer {peer.name}", exc.message, exc.hint)


def _again(peer: Peer) -> str:
    return f"`spool peer authorize {peer.name} KEY.pub` again: it writes the path that holds now"


def _host_key(peer: Peer) -> Iterator[Finding]:
    if peer.scheme not in ("ssh", "sftp"):
        return
    from spool.transports import ssh_keys, ssh_settings

    topic = f"peer {peer.name}"
    try:
        last = ssh_settings.route(config.parse_ssh(peer.url))[-1]
        known = ssh_keys.pinned_key(peer) is not None or ssh_keys.known_keys(last)
    except SpoolError as exc:
        yield failed(topic, exc.message, exc.hint or f"`ssh -G {peer.url}`")
        return
    if not known:
        yield failed(
            topic,
            "its host key was never accepted here",
            f"`spool peer add {peer.name} {peer.url}` shows it and asks",
        )


def _names(settings: Config, peer: Peer, row: PeerRow) -> Iterator[Finding]:
    """Who is said to live there, beside who its hello says does."""
    topic = f"peer {peer.name}"
    if not peer.may_send and not row.far_agents:
        # For a files peer nobody can ever tell.
        found = "no agent is known there: mail from it is refused, and none can be sent"
        yield warning(topic, found, f'`agents = ["NAME"]` under [peers.{peer.name}] in {config.FILE}')
    if not row.far_agents or peer.is_files:
        return
    idle = [each for each in peer.agents if not any(config.overlap(each, told) for told in row.far_agents)]
    if idle:
        found = f"{', '.join(idle)} fits none of its agents ({', '.join(row.far_agents)})"
        yield warning(topic, found, f"correct agents under [peers.{peer.name}], or put it under via")
