"""Adding a peer: its host key accepted, the config written, the way to it tried."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from spool import config, config_edit
from spool.cli import adding_files, checking
from spool.cli.common import Call
from spool.cli.given import Given
from spool.cli.text import one_line
from spool.config import ISSUES_POLL_S, Config, Peer
from spool.errors import BadConfig, BadInput, LinkError

AT_FAULT_THERE = frozenset({"login", "spool answers", "hello"})


def add(call: Call, name: str, url: str, given: Given) -> None:
    """Add the peer or change it, then check it; nothing is written where its host key is not accepted.

    Raises:
        BadConfig: the config would contradict itself.
        HostKeyUnknown, HostKeyChanged: its key is not accepted.
        LinkError: an ssh host whose key nobody knows cannot be reached.
    """
    here = config.load(call.home)
    before = here.peers.get(name)
    peer = _wanted(before or Peer(name=name), url, given)
    checking.refuse_unknown_scheme(peer)
    if peer.is_files:
        adding_files.refuse_unnamed(peer)
    if peer.is_web:
        from spool.cli import adding_web

        peer = adding_web.with_secret(call, peer, given)
    if peer.is_issues:
        from spool.cli import adding_github

        peer = adding_github.with_token(peer, given)
    config.check(Config(here.host, {**here.peers, name: peer}))
    if peer.scheme in ("ssh", "sftp"):
        from spool.cli.hostkeys import accepted

        ask = _ask if sys.stdin.isatty() and sys.stderr.isatty() else None
        try:
            key = accepted(peer, call.home, wanted=given.fingerprint, ask=ask)
        except LinkError as exc:
            exc.message += f"; {name} was not {'added' if before is None else 'changed'}"
            raise
        peer = msgspec.structs.replace(peer, host_key=key)
    prepared = _set_up(call, peer, given)
    if peer != before:
        config_edit.set_peer(call.home, name, _values(peer))
    spool = call.spool()
    made = adding_files.prepare(call, peer, given, new=before is None) if peer.is_files else []
    found = checking.check(spool, peer)
    told = _take_agents(call, peer, found.agents) if not peer.agents else []
    command = checking.authorize_command(spool) if peer.scheme == "ssh" and not found.ok else None
    call.tell(
        {
            "name": name,
            "url": url,
            "changed": peer != before or bool(told),
            "agents": peer.agents or told,
            "reachable": found.ok,
            "steps": found.as_dicts(),
            "next": command,
            **({"made": made} if peer.is_files else {}),
            **({"setup": prepared} if given.setup else {}),
        },
        _said(name, before, peer, told, found),
    )
    if not found.ok:
        bad = next(step for step in found.steps if not step.ok)
        call.warn(f"warning: {name} does not work yet: {bad.step}: {bad.detail}; {bad.hint}".rstrip("; "))
        if command is not None and bad.step in AT_FAULT_THERE:
            call.warn(f"on the host of {name} run: {command}")


def _set_up(call: Call, peer: Peer, given: Given) -> list[str]:
    if not given.setup:
        if given.far_name or given.far_agents:
            raise BadInput("--far-name and --far-agent say what is to be made there", hint="add --setup")
        return []
    from spool.cli import setup

    return setup.carry_out(call, peer, given)


def _wanted(before: Peer, url: str, given: Given) -> Peer:
    wanted = msgspec.structs.replace(
        before,
        url=url,
        agents=list(given.agents) or before.agents,
        via=list(given.via) or before.via,
        identity=given.identity or before.identity,
        remote_command=given.remote_command or before.remote_command,
        # The key of another host says nothing of this one.
        host_key=before.host_key if before.url == url else "",
    )
    if not wanted.is_files:
        return wanted
    return adding_files.with_folders(wanted, given, new=before.url != url)


def _values(peer: Peer) -> dict[str, Any]:
    return {
        "url": peer.url,
        "agents": peer.agents,
        "via": peer.via,
        "identity": peer.identity if peer.identity != "spool" else "",
        "remote_command": peer.remote_command,
        "host_key": peer.host_key,
        "inbox": peer.inbox,
        "outbox": peer.outbox,
        "acks": peer.acks,
        "mode": peer.mode if peer.mode != Peer().mode else "",
        "secret_file": peer.secret_file,
        "ca_file": peer.ca_file,
        "base_url": peer.base_url,
        "token_file": peer.token_file,
        "token_env": peer.token_env,
        "direction": peer.direction,
        "reads": peer.reads,
        "label": peer.label if peer.label != Peer().label else "",
        "logins": peer.logins,
        "poll_s": peer.poll_s if peer.poll_s not in (Peer().poll_s, ISSUES_POLL_S) else 0,
    }


def _take_agents(call: Call, peer: Peer, named: list[str]) -> list[str]:
    """Store those agents that the far hello named and that nobody else has."""
    here = config.load(call.home)
    taken: list[str] = []
    for agent in named:
        more = msgspec.structs.replace(peer, agents=[*taken, agent])
        try:
            config.check(Config(here.host, {**here.peers, peer.name: more}))
        except BadConfig as exc:
            call.warn(
                f"warning: {peer.name} has an agent {one_line(agent)[:80]} that is left out: {exc.message}"
            )
        else:
            taken.append(agent)
    if taken:
        config_edit.set_peer(call.home, peer.name, {"agents": taken})
    return taken


def _said(name: str, before: Peer | None, peer: Peer, told: list[str], found: checking.Found) -> str:
    what = "added" if before is None else "changed" if peer != before or told else "there already, unchanged"
    agents = ", ".join(peer.agents or told) or "nobody yet; those its hello names, once it answers"
    last = found.steps[-1]
    return f"{name}: {what}\nagents: {agents}" + (f"\n{last.step}: {last.detail}" if found.ok else "")


def _ask(shown: str) -> bool:
    return click.confirm(f"{shown}. Is that its key?", err=True)
