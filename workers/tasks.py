"""The tasks: each points at work that stands in the store; lose any and only time is lost."""

from __future__ import annotations

from typing import Any

from huey import Huey

from spool import escalating
from spool.running import ALIVE_S, ARCHIVE_S, Running, guarded
from spool.sweep import EVERY_S
from workers.every import every


def register(huey: Huey, running: Running) -> dict[str, Any]:
    """Give Huey the tasks of a running host; the task wrappers by name."""

    @huey.task(name="push")  # type: ignore[untyped-decorator]  # huey is untyped
    def push(peer: str) -> None:
        running.carrier.poke()

    def pull_is_due(_timestamp: Any) -> bool:
        return running.carrier.has_files_peers()

    @huey.periodic_task(pull_is_due, name="pull")  # type: ignore[untyped-decorator]  # huey is untyped
    def pull() -> None:
        running.carrier.tick()

    @huey.periodic_task(every(EVERY_S), name="sweep")  # type: ignore[untyped-decorator]  # huey is untyped
    def sweep() -> None:
        guarded(running.sweep)

    seconds_passed = every(escalating.EVERY_S)

    def escalate_is_due(timestamp: Any) -> bool:
        return running.escalates() and seconds_passed(timestamp)

    @huey.periodic_task(escalate_is_due, name="escalate")  # type: ignore[untyped-decorator]  # huey is untyped
    def escalate() -> None:
        guarded(running.escalate)

    @huey.periodic_task(every(ARCHIVE_S), name="archive")  # type: ignore[untyped-decorator]  # huey is untyped
    def archive() -> None:
        guarded(running.archive)

    @huey.periodic_task(every(ALIVE_S), name="alive")  # type: ignore[untyped-decorator]  # huey is untyped
    def alive() -> None:
        guarded(running.say_alive)

    return {
        "push": push,
        "pull": pull,
        "sweep": sweep,
        "escalate": escalate,
        "archive": archive,
        "alive": alive,
    }
