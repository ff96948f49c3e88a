"""What every keeper of the consumer promises, and the job it is given."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from spool import starting
from spool.errors import BadInput, SpoolError

ASK_S: Final = 20.0
# Longer than the consumer takes at most: 20 s for Huey's workers, 5 s for links, and a busy machine.
STOP_S: Final = 45
# However often it fails; logins are counted besides, so no host is asked as often as that.
RESTART_S: Final = 30


class Job(msgspec.Struct, frozen=True):
    """A consumer to be kept running: of which home, of which host, by which Python."""

    home: Path
    host: str
    python: str
    import_path: str = ""
    once: bool = False

    @property
    def name(self) -> str:
        """What it is called where it needs a name."""
        return f"spool-{self.host}"

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments; `-P` keeps a folder that happens to be called spool out."""
        how = [] if not self.once else ["--once"]
        return [self.python, "-P", "-m", "spool", "up", *how]

    @property
    def environment(self) -> dict[str, str]:
        """What it must find around it."""
        path = {"PYTHONPATH": self.import_path} if self.import_path else {}
        return {"SPOOL_HOME": str(self.home), **path}


class Keeper(Protocol):
    """One way to keep a consumer running. Raises SpoolError where the machine's own tool fails."""

    name: str

    def missing(self) -> str:
        """Why this machine cannot; "" where it can."""

    def shown(self, job: Job) -> str:
        """All that `install` would write, and where, for a person to read."""

    def install(self, job: Job) -> list[str]:
        """Write it and start it; again it brings what is there up to date. What to know, a line each."""

    def starts(self, job: Job) -> bool:
        """Whether it is installed, and starts the consumer when it is told to."""

    def start(self, job: Job) -> None:
        """Start it now, if it does not run; only where `starts`."""

    def uninstall(self, job: Job) -> bool:
        """Take exactly that away; False where there was nothing."""

    def state(self, job: Job) -> str | None:
        """How it stands, in a few words; None where it is not installed."""


def job(home: Path, host: str, *, once: bool = False) -> Job:
    """The job of this home, run by the Python that runs now.

    Raises:
        BadInput: a path that no keeper's file can hold.
    """
    made = Job(home, host, sys.executable, starting.import_path(), once)
    for text in (str(home), made.python, made.import_path):
        if re.search(r"[\x00-\x1f\x7f\udc80-\udcff]", text):
            raise BadInput(
                f"{text!r} has a control character or is not UTF-8: no service can name it",
                hint="move it to a path of ordinary characters",
            )
    return made


def ask(command: Sequence[str], *, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a tool of the machine and wait for its end.

    Raises:
        SpoolError: it is not there, or does not end.
    """
    given: dict[str, bytes | int] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    try:
        return subprocess.run(command, capture_output=True, timeout=ASK_S, check=False, **given)  # type: ignore[call-overload,no-any-return]  # one of the two
    except OSError as exc:
        raise SpoolError(f"{command[0]}: {exc.strerror}", hint="choose another way with --how") from exc
    except subprocess.TimeoutExpired as exc:
        raise SpoolError(
            f"{' '.join(command)} has not ended within {ASK_S:.0f} s", hint="try it by hand"
        ) from exc


def told(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a tool said last."""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit {done.returncode}"


def insist(command: Sequence[str], *, stdin: bytes | None = None) -> bytes:
    """The same, and it must succeed; what it printed.

    Raises:
        SpoolError: it failed; its own words are in the message.
    """
    done = ask(command, stdin=stdin)
    if done.returncode != 0:
        raise SpoolError(f"{' '.join(command)}: {told(done)}", hint="try it by hand")
    return done.stdout
