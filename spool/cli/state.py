"""`spool status`: what runs here, what waits, and what is stuck."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from spool import views
from spool.cli import agents_text, screen
from spool.cli.common import Call
from spool.cli.declared import command, option, usage
from spool.cli.kinds import length
from spool.looking import ago
from spool.message import parse_time


@command
@option("--check", is_flag=True, help="Exit 1, with a line for each finding, when something is stuck.")
@option(
    "--max-age",
    type=length,
    metavar="S",
    default=views.MAX_AGE_S,
    help="How long the oldest message may wait: seconds, or 30m, 2h.  [15m]",
)
@option("-w", "--watch", is_flag=True, help="On a terminal: draw it again each second, until Ctrl-C.")
def status(call: Call, check: bool, max_age: float, watch: bool) -> None:
    """Say what runs here, what waits, and what to do about what is stuck.

    \b
    Examples:
      spool status
      spool status --watch
      spool status --check --max-age 5m
      spool status --json
    """
    if watch and (check or call.json):
        raise usage("--watch is for a terminal: leave --check and --json out")
    if watch and sys.stdout.isatty():
        from spool.cli import watching

        watching.watch(call.home, max_age_s=max_age)
        return
    if watch:
        call.warn("--watch needs a terminal: this is the status once")
    spool = call.spool()
    now = time.time()
    view = views.status(spool, now=now)
    findings = views.stuck(spool, view, now=now, max_age_s=max_age)
    if check:
        findings = [*views.unwritable(spool), *findings]
        _tell_check(call, view, findings, views.notes(spool, now=now))
    elif call.json:
        call.tell(view)
    else:
        call.draw(_lines(view, findings, now))
    if check and findings:
        sys.exit(1)


def _tell_check(call: Call, view: dict[str, Any], findings: list[str], notes: list[str]) -> None:
    lines = [*(findings or ["ok: nothing is stuck"]), *(f"note: {note}" for note in notes)]
    if call.json:
        call.tell(view | {"stuck": findings, "notes": notes})
    else:
        call.draw(map(screen.folded, lines))


def _lines(view: dict[str, Any], findings: list[str], now: float) -> list[str]:
    rows = [
        ("consumer", _consumer(view, now)),
        ("outbox", _counts(view["outbox"]) + _oldest(view["oldest_queued_s"], "queued")),
        ("inbox", _counts(view["inbox"]) + _oldest(view["oldest_unread_s"], "unread")),
    ]
    rows += [
        (name, f"{view[key]} ({what})")
        for name, key, what in (
            ("dead", "dead", "`spool dead list`"),
            ("untrusted", "quarantine", "`spool quarantine list`"),
            ("held", "held", "agents that answer in circles: `spool held`"),
            ("overdue", "overdue", "an answer was wanted by now"),
            ("escalated", "escalated", "people are told of them: `spool escalate`"),
        )
        if view[key]
    ]
    lines = [screen.folded(f"{view['host']}, spool {view['version']}, home {view['home']}")]
    lines += screen.report(rows, indent="  ")
    lines.append("peers" if view["peers"] else "peers: none; `spool peer add NAME URL` adds one")
    if view["peers"]:
        lines += _peers(view["peers"], now)
    if findings:
        lines += ["to do", *(screen.folded(finding, indent="  ") for finding in findings)]
    elif not view["running"] and any(peer["url"] for peer in view["peers"]):
        lines += ["to do", "  `spool up --detach` starts the consumer"]
    return lines


def _consumer(view: dict[str, Any], now: float) -> str:
    if not view["running"]:
        silent_s = views.silent_s(Path(view["home"]), now=now)
        return "does not run" + ("" if silent_s is None else f"; last word in the log {ago(silent_s)} ago")
    return f"runs, pid {view['pid']}, for {_ago(view['since'], now)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "empty"


def _oldest(age_s: float | None, what: str) -> str:
    return "" if age_s is None else f"; the oldest {what} for {ago(age_s)}"


def _peers(peers: list[dict[str, Any]], now: float) -> list[str]:
    """Each peer on a line, and under it its agents that something is known of."""
    wide = screen.width() is not None
    heads = screen.listing([_peer(peer, now, error=not wide) for peer in peers], indent="  ", state=1)
    lines: list[str] = []
    for head, peer in zip(heads, peers, strict=True):
        lines.append(head)
        if wide and peer["last_error"] and peer["state"] != "stopped":
            # Why one is stopped stands under what there is to do.
            lines += screen.report([("error", peer["last_error"])], indent="    ")
        lines += agents_text.under(peer["agents"], now=now, indent="    ", title="agents there")
    return lines


def _peer(peer: dict[str, Any], now: float, *, error: bool) -> tuple[str, ...]:
    notes = [f"{peer['queued']} queued" if peer["queued"] else "", _there(peer)]
    notes.append(peer["here"]["over_quota"] or "")
    if peer["retry_at"] is not None and (due := parse_time("retry_at", peer["retry_at"])) > now:
        notes.insert(1, f"next try in {ago(due - now)}")
    if rate := peer.get("rate"):
        notes.append(f"{rate['left']:,} of {rate['limit']:,} requests left")
    if error:
        notes.append(peer["last_error"] or "")
    contact = (
        "never reached" if peer["last_contact"] is None else f"reached {_ago(peer['last_contact'], now)} ago"
    )
    return peer["name"], peer["state"], contact, "; ".join(filter(None, notes))


def _there(peer: dict[str, Any]) -> str:
    told = views.there(peer)
    return f"there {told}" if told else ""


def _ago(text: str, now: float) -> str:
    return ago(now - parse_time("at", text))
