"""The five events of a session: what each notes, and what it has to say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from spool import living
from spool.attending import CONTINUED, TOLD, Attending
from spool.digest import Digest, digest, units
from spool.errors import NoAgent
from spool.hook import claude, identity, turns
from spool.hook.words import Asked
from spool.store.base import How, Incoming, Session

_FIRST: Final = 250
# What a session begins with does not care for what it once went on for.
ANEW: Final[tuple[How, ...]] = ("told",)


class Said(NamedTuple):
    """What a hook prints, which rows that tells of, and what went wrong beside it."""

    output: bytes = b""
    rows: tuple[Incoming, ...] = ()
    how: How = "told"
    trouble: str = ""
    # With it, whatever came up to here counts as told: it was told as a number.
    up_to: int | None = None


def session_start(spool: Attending, found: claude.Input, asked: Asked) -> Said:
    """Bind the session, and tell it who it is and of all its unread mail, as if for the first time."""
    name = identity.chosen(asked.agent)
    wake, unwakeable = _wake(asked)
    try:
        others = _attend(spool, found, name, wake)
    except NoAgent:
        text = identity.unbound(spool, name)
        return Said(claude.context("session-start", text) if text else b"")
    who = spool.agent(name)
    trouble = "; ".join(filter(None, [_export(spool, who), unwakeable]))
    spool.forget_told(found.session_id)
    newest = spool.newest()
    head = identity.bound(spool, who, others, now=time.time())
    room = claude.MOST_UNITS - units(head) - 2
    told = _digest(spool, found.session_id, who, room=room, kind="unread", ways=ANEW)
    text = "\n".join([head, told.text or f"No unread mail for {who}."])
    return Said(claude.context("session-start", text), tuple(told.rows), trouble=trouble, up_to=newest)


def user_prompt_submit(spool: Attending, found: claude.Input, asked: Asked) -> Said:
    """Tell of new mail; what woke the session has told it of some."""
    session = _session(spool, found) or _late(spool, found, asked.agent)
    if session is not None and turns.is_wake(found, session.wake_text):
        spool.hear(session)
    return Said() if session is None else _told(spool, session, "user-prompt-submit")


def post_tool_use(spool: Attending, found: claude.Input, _asked: Asked) -> Said:
    """Tell of new mail, now and then; of the most urgent at once."""
    session = _session(spool, found)
    if session is None:
        return Said()
    first = spool.news(session.id, limit=1)
    if not first or not turns.is_time(session.told_at, first[0].priority, now=time.time()):
        spool.note_seen(session)
        return Said()
    return _told(spool, session, "post-tool-use")


def stop(spool: Attending, found: claude.Input, _asked: Asked) -> Said:
    """Keep the session from stopping while urgent mail is unread, once for each message."""
    session = _session(spool, found)
    if session is None or found.stop_hook_active:
        return Said()
    rows = spool.news(session.id, ways=CONTINUED, urgent_only=True, limit=_FIRST)
    total = spool.count_news(session.id, ways=CONTINUED, urgent_only=True)
    room = claude.MOST_UNITS - units(_URGENT)
    told = digest(rows, total, agent=session.agent, now=time.time(), room=room, kind="urgent")
    text = _URGENT + told.text
    return Said(claude.context("stop", text), tuple(told.rows), "continued") if told.rows else Said()


def session_end(spool: Attending, found: claude.Input, _asked: Asked) -> Said:
    """The session reads no more."""
    spool.leave(found.session_id)
    return Said()


def note(spool: Attending, event: str, found: claude.Input, said: Said) -> None:
    """What is written once the output is out: what was told, and whether the session works now."""
    if said.rows:
        spool.announce(found.session_id, said.rows, said.how)
    if said.up_to is not None:
        spool.announce_up_to(found.session_id, said.up_to)
    if event == "user-prompt-submit":
        session = spool.session(found.session_id)
        if turns.is_typed(found, session.wake_text if session is not None else None):
            spool.note_prompt(found.session_id)
        else:
            spool.note_busy(found.session_id, True)
    elif event == "stop" and not said.output:
        spool.note_busy(found.session_id, False)


EVENTS: Final[dict[str, Callable[[Attending, claude.Input, Asked], Said]]] = {
    "session-start": session_start,
    "user-prompt-submit": user_prompt_submit,
    "post-tool-use": post_tool_use,
    "stop": stop,
    "session-end": session_end,
}
_URGENT: Final = "Urgent mail came that is still unread. `spool read ID` prints a message.\n"


def _attend(
    spool: Attending, found: claude.Input, name: str | None, wake: str | None = None
) -> list[Session]:
    return spool.attend(
        found.session_id,
        agent=name,
        client=claude.CLIENT,
        pid=living.caller(os.getppid()),
        cwd=found.cwd,
        wake=wake,
    )


def _wake(asked: Asked) -> tuple[str | None, str]:
    """How the session can be woken, and why it cannot where it was to be."""
    if asked.wake is None:
        return None, ""
    from spool.clients import claude_inbox

    kept = claude_inbox.kept(os.environ)
    return kept, "" if kept else f"the session cannot be woken: ${claude_inbox.SOCKET} names no socket"


def _session(spool: Attending, found: claude.Input) -> Session | None:
    session = spool.session(found.session_id)
    return session if session is not None and session.ended_at is None else None


def _late(spool: Attending, found: claude.Input, agent: str | None) -> Session | None:
    """Bind a session whose start went by: the hooks are newer than it, or the store was busy then."""
    try:
        _attend(spool, found, identity.chosen(agent))
    except NoAgent:
        return None
    return _session(spool, found)


def _told(spool: Attending, session: Session, event: str) -> Said:
    told = _digest(spool, session.id, session.agent, room=claude.MOST_UNITS)
    return Said(claude.context(event, told.text), tuple(told.rows)) if told.rows else Said()


def _digest(
    spool: Attending,
    session: str,
    agent: str,
    *,
    room: int,
    kind: str = "new",
    ways: Collection[How] = TOLD,
) -> Digest:
    rows = spool.news(session, ways=ways, limit=_FIRST)
    total = len(rows) if len(rows) < _FIRST else spool.count_news(session, ways=ways)
    return digest(rows, total, agent=agent, now=time.time(), room=room, kind=kind)


def _export(spool: Attending, agent: str) -> str:
    """Tell the session's shells who they are; what went wrong, where something did."""
    named = os.environ.get(claude.ENV_FILE)
    if not named:
        return ""
    try:
        identity.export(Path(named), agent, spool.home)
    except OSError as exc:
        # The context says the name as well.
        return f"{named}: {exc.strerror}"
    return ""
