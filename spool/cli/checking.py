"""Whether a peer can be reached, step by step; a live link is looked at, never disturbed."""

from __future__ import annotations

import shlex
import time
from typing import Any, Final, NamedTuple

from spool import home as homes
from spool import presence, views
from spool.api import Spool
from spool.config import FILES, ISSUES, LINKS, WEB, Peer
from spool.errors import BadConfig, SpoolError
from spool.looking import ago
from spool.running import dial, open_files
from spool.store.base import PeerRow
from spool.transports.folders import inspect
from spool.transports.frames import VERSION as PROTOCOL
from spool.transports.frames import Hello
from spool.transports.probe import probe

HELLO_S: Final = 20.0
CLOCK_S: Final = 5.0
# What is tried, in order, by the scheme of the url; and the step at which an error of a kind stops.
_SSH: Final = ("resolve", "connect", "host key", "login", "spool answers", "hello")
_EXEC: Final = ("spool answers", "hello")
_SFTP: Final = ("resolve", "connect", "host key", "login", "files")
_DIR: Final = ("files",)
_STOPS_AT: Final = {
    "bad_config": "resolve",
    "cannot_resolve": "resolve",
    "unreachable": "connect",
    "timed_out": "connect",
    "host_key_unknown": "host key",
    "host_key_changed": "host key",
    "auth_refused": "login",
    "not_authorised": "hello",
    "version_skew": "hello",
}


class Step(NamedTuple):
    """One step of a check; `detail` is what was found, `hint` what to do."""

    step: str
    ok: bool
    detail: str = ""
    hint: str = ""


class Found(NamedTuple):
    """What a check found: its steps, and who reads there where a hello said so."""

    steps: list[Step]
    agents: list[str]

    @property
    def ok(self) -> bool:
        """Whether every step worked."""
        return all(step.ok for step in self.steps)

    def as_dicts(self) -> list[dict[str, Any]]:
        """The steps as plain values."""
        return [step._asdict() for step in self.steps]


def check(spool: Spool, peer: Peer) -> Found:
    """Try a peer from the name to its spool's hello, or to its folders; never raises for what a peer does."""
    found = _reached(spool, peer)
    if (over := views.brought_by(spool, peer, now=time.time())["over_quota"]) is None:
        return found
    return Found([*found.steps, Step("quota", False, over, views.quota_remedy(peer))], found.agents)


def _reached(spool: Spool, peer: Peer) -> Found:
    row = spool.peer_row(peer.name)
    if peer.is_files:
        return _of_folders(spool, peer, row)
    if views.peer_state(spool, peer, row) == "linked":
        return _of_link(spool, row)
    if not peer.url:
        contact = "never yet" if row.last_contact is None else f"{ago(time.time() - row.last_contact)} ago"
        hint = f"on that host: `spool peer check {spool.config.host.name}`"
        return Found([Step("link", False, f"it dials us; last contact {contact}", hint)], [])
    if peer.is_issues:
        from spool.cli import checking_github

        return Found([Step(*each) for each in checking_github.steps(peer, row)], [])
    if peer.is_web:
        return _of_web(spool, peer, row)
    steps = _SSH if peer.scheme == "ssh" else _EXEC
    try:
        pipe = dial(peer, spool.home, as_name=spool.config.host.name)
    except SpoolError as exc:
        return Found(_failed(steps, exc, default=steps[-2]), [])
    try:
        hello, ahead_s = probe(pipe, peer=peer.name, timeout_s=HELLO_S, now=time.time)
    except SpoolError as exc:
        at = "hello" if exc.kind in ("not_authorised", "version_skew") else "spool answers"
        return Found(_failed(steps, exc, at=at), [])
    return _greeted(spool, peer, row, hello, steps, ahead_s=ahead_s)


def _of_web(spool: Spool, peer: Peer, row: PeerRow) -> Found:
    from spool.cli import checking_web

    try:
        hello, ahead_s = checking_web.hello_of(spool, peer)
    except SpoolError as exc:
        at = checking_web.STOPS_AT.get(exc.kind, "connect")
        return Found(_failed(checking_web.STEPS, exc, at=at), [])
    return _greeted(spool, peer, row, hello, checking_web.STEPS, ahead_s=ahead_s)


def _greeted(
    spool: Spool, peer: Peer, row: PeerRow, hello: Hello, steps: tuple[str, ...], *, ahead_s: float
) -> Found:
    stopped = f"`spool peer resume {peer.name}`" if row.state == "stopped" else ""
    greeting = _greeting(spool, hello, row, ahead_s=ahead_s)
    if greeting.ok:
        _remember(spool, peer, hello)
    done = [Step(step, True) for step in steps[:-1]]
    if stopped and greeting.ok:
        return Found([*done, greeting, Step("dialling", False, "the peer is stopped", stopped)], hello.agents)
    return Found([*done, greeting], hello.agents)


def _remember(spool: Spool, peer: Peer, hello: Hello) -> None:
    """Keep what a good hello said, as a link does; a link that has come up since knows better."""
    with spool.store.write(sync=False) as tx:
        row = tx.peers.get(peer.name)
        if views.peer_state(spool, peer, row) == "linked":
            return
        told = {"far_host": hello.host, "far_version": hello.spool, "far_agents": hello.agents}
        # A stopped peer keeps its reason until a person resumes it.
        mended = {} if row.state == "stopped" else {"error_kind": None, "error": None}
        tx.peers.update(peer.name, last_contact=time.time(), **told, **mended)


def authorize_command(spool: Spool) -> str:
    """The one line that lets this host in, to be run on the far host."""
    key = shlex.quote(homes.public_key(spool.home))
    return f"printf '%s\\n' {key} | spool peer authorize {spool.config.host.name} -"


def _of_link(spool: Spool, row: PeerRow) -> Found:
    holder = next((p for p in presence.living(spool.home / "run") if p.token == row.holder), None)
    by = f"held by {holder.role}, pid {holder.pid}" if holder else "up"
    since = "" if row.linked_at is None else f", since {ago(time.time() - row.linked_at)}"
    offset = "" if row.clock_offset is None else f", its clock {row.clock_offset:+.1f} s"
    told = (
        f"host {row.far_host}, spool {row.far_version}, agents {', '.join(row.far_agents) or 'none'}{offset}"
    )
    return Found([Step("link", True, by + since), Step("hello", True, told)], row.far_agents)


def _of_folders(spool: Spool, peer: Peer, row: PeerRow) -> Found:
    reach = _SFTP if peer.scheme == "sftp" else _DIR
    try:
        files = open_files(peer, spool.home)
    except SpoolError as exc:
        return Found(_failed(reach, exc, default=reach[-1]), [])
    try:
        steps = [*(Step(step, True) for step in reach), *(Step(*each) for each in inspect(files, peer))]
    except SpoolError as exc:
        steps = [*(Step(step, True) for step in reach[:-1]), Step(reach[-1], False, exc.message, exc.hint)]
    finally:
        files.close()
    if row.state == "stopped" and all(step.ok for step in steps):
        steps.append(Step("dialling", False, "the peer is stopped", f"`spool peer resume {peer.name}`"))
    return Found(steps, [])


def _failed(steps: tuple[str, ...], exc: SpoolError, *, default: str = "", at: str = "") -> list[Step]:
    stop = at or _STOPS_AT.get(exc.kind, default)
    if stop not in steps:
        stop = steps[0]
    before = steps[: steps.index(stop)]
    return [*(Step(step, True) for step in before), Step(stop, False, exc.message, exc.hint)]


def _greeting(spool: Spool, hello: Hello, row: PeerRow, *, ahead_s: float) -> Step:
    told = (
        f"host {hello.host}, spool {hello.spool}, agents {', '.join(hello.agents) or 'none'},"
        f" its clock {ahead_s:+.1f} s"
    )
    if hello.least > PROTOCOL or hello.v < 1:
        return Step(
            "hello", False, told, f"it speaks protocol {hello.least} to {hello.v}: upgrade the older spool"
        )
    if hello.host == spool.config.host.name:
        return Step(
            "hello", False, told, "it has the name of this host: give one of the two another [host] name"
        )
    hint = ""
    if abs(ahead_s) > CLOCK_S:
        hint = "the clocks differ: set them, or read the times of a trace with care"
    elif row.far_host is not None and row.far_host != hello.host:
        hint = f"it was {row.far_host} before"
    return Step("hello", True, told, hint)


def refuse_unknown_scheme(peer: Peer) -> None:
    """Raise BadConfig where this version cannot reach such a url."""
    if peer.scheme not in (*LINKS, *FILES, *ISSUES, *WEB):
        raise BadConfig(
            f"{peer.url}: this version knows no {peer.scheme or 'such'}: peers",
            hint="write ssh://user@host, exec:COMMAND, sftp://user@host, dir:, github://owner/repo, or https://host:port/chat",
        )
