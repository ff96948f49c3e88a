"""`spool status --watch`: the status of this home on a terminal, drawn again each second."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spool import views
from spool.api import Spool
from spool.cli.text import field
from spool.errors import SpoolError
from spool.looking import ago
from spool.message import parse_time
from spool.presence import SILENT_S

EVERY_S: Final = 1.0
_STATES: Final = {"linked": "green", "dialling": "yellow", "waiting": "yellow", "stopped": "bold red"}
_TERMINATED: Final = 128 + signal.SIGTERM


def watch(home: Path, *, max_age_s: float) -> None:
    """Draw until Ctrl-C; the terminal is then as it was. Also where the home breaks meanwhile."""
    console = Console(file=sys.stdout)
    with _ended_tidily(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(drawn(home, now=time.time(), max_age_s=max_age_s), refresh=True)
            time.sleep(EVERY_S)


def drawn(home: Path, *, now: float, max_age_s: float) -> RenderableType:
    """The whole picture of a home at this instant."""
    try:
        # Opened anew each time: a changed config counts, and nobody's migration waits for this.
        with Spool(home) as spool:
            view = views.status(spool, now=now)
            findings = views.stuck(spool, view, now=now, max_age_s=max_age_s)
    except SpoolError as exc:
        hint = f"; {exc.hint}" if exc.hint and exc.hint not in exc.message else ""
        return Text(field(f"{exc.message}{hint}"), style="red")
    parts: list[RenderableType] = [_head(view, now), _counts(view, home, now), Text(), _peers(view, now)]
    if findings:
        parts += [Text(), Text("to do", style="bold")]
        parts += [Text(f"  {field(finding)}", style="yellow") for finding in findings]
    return Group(*parts)


@contextmanager
def _ended_tidily() -> Iterator[None]:
    """Ctrl-C ends it well; SIGTERM by its own status, once the terminal is as it was."""

    def end(_: int, __: FrameType | None) -> NoReturn:
        raise SystemExit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _head(view: dict[str, Any], now: float) -> Text:
    when = time.strftime("%H:%M:%SZ", time.gmtime(now))
    return Text.assemble((field(view["host"]), "bold"), f"  spool {view['version']}  {when}  Ctrl-C ends")


def _counts(view: dict[str, Any], home: Path, now: float) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("consumer", _consumer(view, home, now))
    for name, unit, age in (("outbox", "queued", "oldest_queued_s"), ("inbox", "unread", "oldest_unread_s")):
        said = ", ".join(f"{count} {state}" for state, count in view[name].items() if count) or "empty"
        oldest = "" if view[age] is None else f"; the oldest {unit} for {ago(view[age])}"
        grid.add_row(name, said + oldest)
    bad = [
        f"{view[key]} {what}"
        for key, what in (
            ("dead", "dead"),
            ("quarantine", "in quarantine"),
            ("held", "held"),
            ("escalated", "escalated"),
            ("overdue", "overdue"),
        )
        if view[key]
    ]
    grid.add_row("amiss", Text(", ".join(bad) or "nothing", style="yellow" if bad else ""))
    return grid


def _consumer(view: dict[str, Any], home: Path, now: float) -> Text:
    """Whether it runs, and when the log was last written: its silence is the alarm."""
    silent_s = views.silent_s(home, now=now) or 0.0
    if not view["running"]:
        return Text(f"does not run; last word in the log {ago(silent_s)} ago", style="bold red")
    since = ago(now - parse_time("since", view["since"]))
    said = Text(f"runs, pid {view['pid']}, for {since}; ", style="green")
    return said.append(f"last word {ago(silent_s)} ago", style="bold red" if silent_s > SILENT_S else "green")


def _peers(view: dict[str, Any], now: float) -> RenderableType:
    if not view["peers"]:
        return Text("no peers; `spool peer add NAME URL` adds one")
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    for name in ("peer", "state", "contact", "queued", "there"):
        grid.add_column(name, no_wrap=True, justify="right" if name == "queued" else "left")
    grid.add_column("last error", ratio=1, no_wrap=True, overflow="ellipsis")
    for peer in view["peers"]:
        grid.add_row(*_peer(peer, now))
    return grid


def _peer(peer: dict[str, Any], now: float) -> list[Text | str]:
    last = peer["last_contact"]
    contact = "never" if last is None else f"{ago(now - parse_time('last_contact', last))} ago"
    error = " ".join((peer["last_error"] or "").split())
    retry = peer["retry_at"]
    left_s = 0.0 if retry is None or peer["state"] != "waiting" else parse_time("retry_at", retry) - now
    state = peer["state"] + (f" {ago(left_s)}" if left_s > 0 else "")
    return [
        Text(field(peer["name"]), overflow="ellipsis"),
        Text(state, style=_STATES.get(peer["state"], "")),
        contact,
        str(peer["queued"]),
        views.there(peer),
        Text(field(error), style="yellow"),
    ]
