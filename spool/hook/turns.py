"""The turns of a session: what each asks of a hook, and whether a glance is all that it takes."""

from __future__ import annotations

from typing import Final

from spool.hook.claude import NOTIFICATION, Input
from spool.store.glance import SEEN_EVERY_S, Glance, Seen

EVERY_S: Final = 15.0


def is_time(told_at: float | None, priority: int, *, now: float) -> bool:
    """Whether to tell a session that works of news whose most urgent has this priority: now and then, and
    at once of P0."""
    return priority == 0 or told_at is None or abs(now - told_at) >= EVERY_S


def is_typed(found: Input, wake_text: str | None) -> bool:
    """Whether a person wrote this prompt, and neither the client nor spool, to wake the session."""
    return not found.prompt.lstrip().startswith(NOTIFICATION) and not is_wake(found, wake_text)


def is_wake(found: Input, wake_text: str | None) -> bool:
    """Whether this prompt holds what spool woke the session with."""
    return bool(wake_text) and str(wake_text) in found.prompt


def settled(event: str, found: Input, path: str, *, now: float) -> bool:
    """Whether there was nothing to tell; then what was to be noted of this turn is.

    Args:
        path: of spool.db.

    Raises:
        apsw.Error: the database cannot be looked at like this.
    """
    with Glance(path, found.session_id) as glance:
        seen = glance.seen()
        if seen is None:
            # Only a prompt binds a session whose start went by.
            return event != "user-prompt-submit"
        if _has_word(event, found, seen, now):
            return False
        match event:
            case "user-prompt-submit":
                glance.note(now=now, busy=True, prompted=is_typed(found, seen.wake_text))
            case "stop":
                glance.note(now=now, busy=False, prompted=False)
            case "session-end":
                glance.leave(now=now)
            case _ if abs(now - seen.seen_at) >= SEEN_EVERY_S:
                glance.note(now=now, busy=seen.busy, prompted=False)
    return True


def _has_word(event: str, found: Input, seen: Seen, now: float) -> bool:
    match event:
        case "stop":
            return seen.pressing is not None and not found.stop_hook_active
        case "post-tool-use":
            return seen.news is not None and is_time(seen.told_at, seen.news, now=now)
        case "session-end":
            return False
    return seen.news is not None
