# ruff: noqa: PTH100, PTH110, PTH111, PTH112  pathlib is a third of what a hook without news may take
"""One run of a hook: its input read, its output written whole or not at all, its exit code 0.

A client takes a hook's exit code and its stderr for words to the session; a fault of spool's is none.
What a hook without news needs is imported here, the rest where it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NoReturn

from spool.hook import claude
from spool.hook.deadline import Deadline, TooLate
from spool.hook.words import WAIT, Asked, parse

MOST_BYTES: Final = 32 * 1024 * 1024
# How long it may take in all. The end of a session grants 1.5 s to all hooks together.
DEADLINE_S: Final = 2.0
END_DEADLINE_S: Final = 1.2
TURNS: Final = ("user-prompt-submit", "post-tool-use", "stop", "session-end")
_CHUNK: Final = 1024 * 1024
_SHOWN: Final = 200


def door(words: Sequence[str]) -> None:
    """Run the hook that these words ask for, and end the process; return where a person asks for help."""
    # It ends before there is any rubbish to speak of.
    gc.disable()
    asked = parse(words)
    if asked is not None:
        main(asked)
    if words and not os.isatty(0) and not {"-h", "--help"} & set(words):
        # Settings of another version, most likely. Exit code 2 would be a word to the session.
        silence()
        _tell(Asked(words[0]), f"no hook has these words: {' '.join(words)[:_SHOWN]}")
        os._exit(0)


def main(asked: Asked) -> NoReturn:
    """Run one hook, and end the process: with exit code 0 whatever became of it, but for what wakes it."""
    if asked.event == WAIT:
        os._exit(_wait(asked))
    silence()
    # What would be tidied up then, the end of the process does as well, and sooner.
    run(asked, end=lambda: os._exit(0))
    os._exit(0)


def _wait(asked: Asked) -> int:
    """Wait beside the session; the exit code, of which 2 wakes it with what is on stderr."""
    gc.enable()
    stderr = os.dup(2)
    silence()
    try:
        found, home = claude.read(_read(0)), _home(asked)
        if found.agent_id or not claude.has_background(os.environ) or not os.path.exists(_database(home)):
            return 0
        from spool.hook import wait

        return wait.run(home, found.session_id, stderr=stderr, timeout_s=asked.timeout_s)
    except Exception as exc:  # noqa: BLE001  the last door, as in run
        _tell(asked, f"{type(exc).__name__}: {exc}")
        return 0


def silence() -> None:
    """Nothing that Python or a library has to say reaches the client."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def run(asked: Asked, *, stdin: int = 0, stdout: int = 1, end: Callable[[], object] = lambda: None) -> None:
    """Run one hook within its time; what goes wrong is a line in the home's log.

    Args:
        stdin, stdout: file descriptors.
        end: called when all is done that had to be, before the store is closed.
    """
    deadline = Deadline(END_DEADLINE_S if asked.event == "session-end" else DEADLINE_S)
    try:
        trouble = _run(asked, deadline, stdin, stdout, end)
    except Exception as exc:  # noqa: BLE001  the last door: no fault of ours disturbs a session
        trouble = f"{type(exc).__name__}: {exc}"
    except TooLate:
        trouble = "its time was up: nothing was told, or it will be told once more"
    if trouble:
        _tell(asked, trouble)
    deadline.end()


def _run(asked: Asked, deadline: Deadline, stdin: int, stdout: int, end: Callable[[], object]) -> str:
    """What went wrong without keeping the hook from its work; empty where nothing did."""
    found = claude.read(_read(stdin))
    home = _home(asked)
    # A subagent works for its session, which is told itself.
    if found.agent_id or not os.path.exists(_database(home)):
        return ""
    if _settled(asked, found, home):
        return ""
    from spool.attending import Attending
    from spool.hook import events

    alone = _alone(home) if asked.event in TURNS else contextlib.nullcontext()
    with Attending(home) as spool, alone:
        said = events.EVENTS[asked.event](spool, found, asked)
        if said.output:
            # From here to its last byte it is not given up.
            deadline.pause()
            _write(stdout, said.output)
            deadline.go_on()
        # A crash before this commit tells it once more; the mail is unread either way.
        events.note(spool, asked.event, found, said)
        if not said.trouble:
            end()
    return said.trouble


@contextlib.contextmanager
def _alone(home: str) -> Iterator[None]:
    """One hook at a time from its look to its note: a session's tools end together, and each has a hook."""
    lock = os.open(f"{home}/run/hooks.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Whoever holds it ends in time, and the kernel lets go of it however that is.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(stdin: int) -> bytes:
    chunks, size = [], 0
    while chunk := os.read(stdin, _CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES:
            raise claude.NotAnInput(f"the input is longer than {MOST_BYTES} bytes")
    return b"".join(chunks)


def _write(stdout: int, output: bytes) -> None:
    rest = memoryview(output)
    while rest:
        rest = rest[os.write(stdout, rest) :]


def _home(asked: Asked) -> str:
    # As spool.home has it, without its imports.
    named = asked.home or os.environ.get("SPOOL_HOME") or "~/.spool"
    return os.path.abspath(os.path.expanduser(named))


def _database(home: str) -> str:
    return f"{home}/spool.db"


def _settled(asked: Asked, found: claude.Input, home: str) -> bool:
    """Whether the store need not be opened."""
    if asked.event not in TURNS:
        return False
    import apsw

    from spool.hook import turns

    try:
        return turns.settled(asked.event, found, _database(home), now=time.time())
    except apsw.Error:
        # Whatever is wrong with it, the store says it better.
        return False


def _tell(asked: Asked, trouble: str) -> None:
    """A line in the log, where there is a home with one."""
    home = _home(asked)
    if not os.path.isdir(f"{home}/log"):
        return
    try:
        from pathlib import Path

        from spool import log
        from spool.version import VERSION

        log.configure(Path(home), role="hook", host=_host(home), version=VERSION, stderr=False)
        log.warning("hook.failed", hook=asked.event, error=trouble)
    except (Exception, TooLate):  # noqa: BLE001, S110  there is nowhere left to say it
        pass


def _host(home: str) -> str:
    from pathlib import Path

    from spool import config
    from spool.errors import SpoolError

    try:
        return config.load(Path(home)).host.name
    except SpoolError:
        return ""
