"""What a client may write to a hook: an answer of the documented shape, silence, or a line in the log."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool import errors, log
from spool.api import Spool
from spool.hook import claude, run
from tests.desk import arrive, make_home
from tests.fuzz.ground import Ground
from tests.hooks import NAMES, SESSION, raw_hook, said

_EVENTS: Final = ("session-start", "user-prompt-submit", "post-tool-use", "stop", "session-end")
_KNOWN: Final = frozenset({claude.NotAnInput.__name__, *(cls.__name__ for cls in errors.kinds().values())})


class Hooks:
    """The target: which event it is depends on the input."""

    most_bytes = 64 * 1024

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def __call__(self, raw: bytes) -> str:
        event = _EVENTS[hashlib.sha256(raw).digest()[0] % len(_EVENTS)]
        word = _read(raw)
        with self._ground.copied() as home:
            output = raw_hook(home, event, raw)
            _close_log()
            troubles = [line["error"] for line in _log(home) if line["event"] == "hook.failed"]
        for trouble in troubles:
            assert trouble.partition(":")[0] in _KNOWN, f"a defect: {trouble}"
            assert len(trouble) < 2000, "an error as long as what was written"
        if event in NAMES:
            said(event, output)
        else:
            assert not output, "words at the end of a session"
        assert bool(troubles) == (word == "no input"), f"{word}, and {troubles}"
        return f"{word}/{event}/{'said' if output else 'silent'}"

    def memory(self, size: int) -> int:
        """The store's pages, and the input as a value."""
        return 24 * 1024 * 1024 + 100 * size


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Hooks]:
    """The hooks of a host with one agent, which has mail and a session."""
    first = make_home(scratch / "first", "me")
    with Spool(first) as spool:
        spool.attend(SESSION, pid=os.getpid())
        arrive(spool, id="m-000001", priority="P0")
    with _patient(), _no_client(), _same_log():
        yield Hooks(Ground(scratch, first))


def _read(raw: bytes) -> str:
    try:
        found = claude.read(raw)
    except claude.NotAnInput as exc:
        assert str(exc)
        return "no input"
    assert found.session_id and len(found.session_id) <= 200
    assert all(isinstance(value, str) for value in found[:4]) and isinstance(found.stop_hook_active, bool)
    whole = json.loads(raw)
    assert found.session_id == whole["session_id"].encode("utf-8", "replace").decode()
    return "input of a subagent" if found.agent_id else "input"


def _log(home: Path) -> list[dict[str, str]]:
    path = home / "log" / log.FILE
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def _close_log() -> None:
    # The process of a hook ends, and with it what it opened; this one goes on.
    sinks, log._sinks = log._sinks, None
    if sinks is not None and sinks.file is not None and sinks.file._file >= 0:
        os.close(sinks.file._file)


@contextlib.contextmanager
def _same_log() -> Iterator[None]:
    before, log._sinks = log._sinks, None
    try:
        yield
    finally:
        log._sinks = before


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """A hook that is late ends its process: this one must not end because a machine is busy."""
    before = run.DEADLINE_S, run.END_DEADLINE_S
    run.DEADLINE_S = run.END_DEADLINE_S = 60.0  # type: ignore[misc]
    try:
        yield
    finally:
        run.DEADLINE_S, run.END_DEADLINE_S = before  # type: ignore[misc]


@contextlib.contextmanager
def _no_client() -> Iterator[None]:
    """Without what a client around these tests may have said of itself."""
    before = {name: os.environ.pop(name) for name in (claude.ENV_FILE, "SPOOL_AGENT") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
