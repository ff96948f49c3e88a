"""The first half of `spool doctor --repair`: what would be done, whether it may be, and what came of it."""

from __future__ import annotations

import sys
import time

import click

from spool import config
from spool.cli.common import Call
from spool.doctor.repair import Repair, carry_out
from spool.doctor.repairs import planned
from spool.errors import BadInput, SpoolError


def repair(call: Call, *, quick: bool, yes: bool) -> None:
    """Show what can be repaired, ask once, do it.

    Raises:
        BadInput: nobody is there to be asked, or they do not want it. Nothing was changed.
    """
    with planned(call.home, now=time.time(), quick=quick) as repairs:
        if not repairs:
            call.warn("nothing that could be repaired was found")
            return
        if not yes:
            _ask(repairs)
        for done, problem in carry_out(call.home, _host(call), repairs):
            said = f"not done: {problem}" if problem else "done"
            view = {"topic": done.topic, "repair": done.what, "done": not problem, "error": problem or None}
            call.tell(view, f"repair   {done.topic}: {done.what}: {said}")


def _ask(repairs: list[Repair]) -> None:
    for each in repairs:
        click.echo(f"would {each.what}", err=True)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(
            "nothing was repaired: nobody is here to be asked", hint="at a terminal, or with --yes"
        )
    if not click.confirm("Do all of this?", err=True):
        raise BadInput("nothing was repaired", hint="`spool doctor` says what else can be done")


def _host(call: Call) -> str:
    """What this host is called, as far as that can be read."""
    try:
        return config.load(call.home).host.name
    except SpoolError:
        return "?"
