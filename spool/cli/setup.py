"""`spool peer add --setup`: what a far host needs to be dialled, done there over the user's own login."""

from __future__ import annotations

import json
import re
import sys
from typing import NamedTuple

import click
import msgspec

from spool import config
from spool import home as homes
from spool.authorized import parse_key
from spool.cli.common import Call
from spool.cli.given import Given
from spool.cli.installing import files_road, lines_of, teller
from spool.cli.text import one_line
from spool.config import Config, Host, Peer
from spool.errors import BadInput, CannotInstall
from spool.far import putting
from spool.far.facts import Facts
from spool.far.shell import Far
from spool.message import NAME


class Plan(NamedTuple):
    """What is to be done on the far host; `lines` say it to a person."""

    host: str
    add_agents: list[str]
    our_agents: list[str]
    install: bool
    init: bool
    authorize: bool
    lines: list[str]


def carry_out(call: Call, peer: Peer, given: Given) -> list[str]:
    """Show what there is to do, ask once, and do it; what was done, a line each.

    Raises:
        BadInput: it contradicts what is there, or nobody is there to be asked.
        CannotInstall: spool cannot be put there; nothing of it is left.
        LinkError: the host cannot be logged in to, or the connection broke.
    """
    if peer.scheme != "ssh" or peer.identity != "spool":
        raise BadInput(
            "--setup is for an ssh:// host and spool's own key", hint="leave --setup or --identity out"
        )
    here = config.load(call.home)
    key = homes.public_key(call.home)
    with files_road(peer), putting.arrived(peer, call.home) as far:
        facts = far.look(far.find_python(), tidy=False, key=parse_key(key)[1])
        plan = _plan(facts, peer, given, here.host)
        living = peer.agents or [*facts.spool_agents, *plan.add_agents]
        config.check(
            Config(here.host, {**here.peers, peer.name: msgspec.structs.replace(peer, agents=living)})
        )
        if not plan.lines:
            return []
        _agree(call, peer, facts, plan, given)
        _do(call, far, facts, plan, peer=peer.name, ours=here.host.name, key=key)
    return plan.lines


def _plan(facts: Facts, peer: Peer, given: Given, ours: Host) -> Plan:
    host = _far_host(facts, peer.name, given.far_name, ours.name)
    add = [agent for agent in _wanted_agents(facts, given, host) if agent not in facts.spool_agents]
    known = facts.spool_peers.get(ours.name, [])
    agents = [*known, *(agent for agent in ours.agents if agent not in known)]
    allowed = bool(lines_of(facts, ours.name))
    install, init = not facts.spools, bool(not facts.spool_host or add)
    if install:
        putting.refuse_impossible(facts)
    authorize = install or not allowed or agents != known or ours.name not in facts.spool_peers
    lines = putting.plan(facts) if install else []
    if init:
        what = (
            f"add to its home {facts.home}/.spool"
            if facts.spool_host
            else f"make a home, {facts.home}/.spool"
        )
        lines.append(f"{what}: host {host}, agents {', '.join([*facts.spool_agents, *add])}")
    if authorize:
        who = f"{ours.name} ({', '.join(agents) or 'no agents yet'})"
        where = "add" if facts.keys_writable else "print, for you to add,"
        lines.append(
            f"{where} a line of ~/.ssh/authorized_keys that lets {who} run `spool serve`, nothing else"
        )
    return Plan(host, add, agents, install, init, authorize, lines)


def _far_host(facts: Facts, peer: str, given: str | None, ours: str) -> str:
    """Its name: the home's own, the given one, or what the machine calls itself."""
    if facts.spool_host:
        if given is not None and given != facts.spool_host:
            raise BadInput(f"its home is that of host {facts.spool_host!r}", hint="leave --far-name out")
        if facts.spool_host == ours:
            raise BadInput(
                f"its home has our own name, {ours!r}", hint="change [host] name in one of the two"
            )
        return facts.spool_host
    if given is not None:
        if given == ours or not NAME.fullmatch(given):
            raise BadInput(f"{given!r} cannot be its name", hint=f"letters, digits, . _ - and not {ours!r}")
        return given
    short = re.sub(r"[^A-Za-z0-9_-]+", "-", facts.host.partition(".")[0]).strip("-_")
    names = [name for name in (short, peer, f"{peer}-far") if name != ours and NAME.fullmatch(name)]
    return names[0]


def _wanted_agents(facts: Facts, given: Given, host: str) -> list[str]:
    """Who is to read there: as given, as it is, or as a person says."""
    if given.far_agents or facts.spool_agents:
        return list(given.far_agents)
    if given.yes or not sys.stdin.isatty():
        raise BadInput(
            "who reads there? It has no agents yet", hint="name them, as in --far-agent claude-cloud"
        )
    said: str = click.prompt("Who reads there? Names of agents", default=f"claude-{host}", err=True)
    return said.replace(",", " ").split()


def _agree(call: Call, peer: Peer, facts: Facts, plan: Plan, given: Given) -> None:
    """Show it all; a person must agree, or have agreed with --yes."""
    call.tell({"peer": peer.name, "plan": plan.lines}, f"On {facts.host}, as {facts.user}:")
    if not call.json:
        for line in plan.lines:
            call.say(f"- {line}")
    if given.yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput("nothing was done: nobody is there to agree", hint="run it again with --yes")
    if not click.confirm("Do all of this?", default=True, err=True):
        raise BadInput("nothing was done", hint="without --setup, `spool peer add` changes only this host")


def _do(call: Call, far: Far, facts: Facts, plan: Plan, *, peer: str, ours: str, key: str) -> None:
    tell = teller(call, peer)
    spool = putting.put(far, facts, tell).path if plan.install else next(iter(facts.spools))
    run = [spool, "--home", f"{facts.home}/.spool"]
    if plan.init:
        tell("init", f"host {plan.host}")
        named = [] if facts.spool_host else ["--name", plan.host]
        _must(far, facts, [*run, "init", *named, *_repeated("--agent", plan.add_agents), "--json"])
    if not plan.authorize:
        return
    tell("authorize", ours)
    command = [*run, "peer", "authorize", ours, "-", *_repeated("--agents", plan.our_agents), "--json"]
    if facts.keys_writable:
        _must(far, facts, command, stdin=key)
        return
    said = json.loads(_must(far, facts, [*command, "--print"], stdin=key).splitlines()[0])
    call.warn(
        f"{facts.home}/.ssh/authorized_keys cannot be written; add this line to the keys of that account:"
    )
    click.echo(one_line(str(said["line"])), err=True)


def _must(far: Far, facts: Facts, argv: list[str], *, stdin: str = "") -> str:
    status, out, err = far.run(facts.python, argv, stdin=stdin)
    if status != 0:
        said = one_line(err.strip() or out.strip())[-400:]
        raise CannotInstall(
            f"{facts.host}: `spool {argv[3]}` there ended with {status}: {said}",
            hint="spool is installed there; correct that, and run this again",
        )
    return out


def _repeated(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
