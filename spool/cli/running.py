"""`spool up`, `spool down` and `spool restart`: the consumer of this home."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from spool import config, presence
from spool.cli.common import Call, common
from spool.cli.text import plain
from spool.errors import NotInitialised, SpoolError
from spool.presence import Process

START_S: Final = 15.0
STOP_S: Final = 30.0
LOOK_S: Final = 0.05
LOCK: Final = "up.lock"
APP: Final = "workers.app.huey"
# What it said, where it has no terminal to say it.
OUT: Final = Path("log") / "consumer.out"


@click.command()
@common
@click.option("--detach", is_flag=True, help="In the background, in a session of its own.")
@click.option("--once", is_flag=True, help="Dial every peer, exchange what waits, and end; for cron.")
def up(call: Call, detach: bool, once: bool) -> None:
    """Run the consumer, which carries the mail: the same as `huey_consumer workers.app.huey`.

    Where one runs already it says so and is content.

    \b
    Examples:
      spool up --detach
      spool up --once
    """
    if detach and once:
        raise click.UsageError("--detach and --once: give one of them")
    config.load(call.home)
    if once and not _consumers(call.home):
        _once(call)
        return
    claim = _claim(call.home)
    if isinstance(claim, Process):
        _say(call, claim, "runs already")
    elif detach:
        _detach(call, claim)
    else:
        # This process becomes the consumer; nothing is left here to come back to.
        os.set_inheritable(claim, True)
        os.execve(sys.executable, _command(), _environment(call.home))  # noqa: S606


@click.command()
@common
def down(call: Call) -> None:
    """End the consumer, tidily, within 30 seconds.

    \b
    Example:
      spool down
    """
    # Not the config: a consumer can be ended whatever has become of it.
    if not (call.home / "run").is_dir():
        raise NotInitialised(f"no spool home at {call.home}")
    _down(call)


@click.command()
@common
def restart(call: Call) -> None:
    """End the consumer and start it again in the background.

    \b
    Example:
      spool restart
    """
    config.load(call.home)
    _down(call)
    claim = _claim(call.home)
    if isinstance(claim, Process):
        _say(call, claim, "runs already")
    else:
        _detach(call, claim)


def _claim(home: Path) -> int | Process:
    """The consumer that runs, else the right to start one: an open file, to be held until its end.

    Two that start in the same instant: the second waits here until
    the first is announced. One that was started by `huey_consumer` itself has no such file.

    Raises:
        SpoolError: another one has held it for too long without being up.
    """
    lock = os.open(home / "run" / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + START_S
    while True:
        held = _lock(lock)
        if running := _consumers(home):
            os.close(lock)
            return running[0]
        if held:
            return lock
        if time.monotonic() > deadline:
            os.close(lock)
            raise SpoolError(
                f"another consumer of {home} starts or ends since {START_S:.0f} s",
                hint="`spool status` says what runs; all it said is in log/consumer.out",
            )
        time.sleep(LOOK_S)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _down(call: Call) -> None:
    running = _consumers(call.home)
    if not running:
        call.tell({"running": False, "pid": None}, "no consumer runs here")
        return
    for process in running:
        os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while (left := _still(call.home, running)) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise SpoolError(
            f"the consumer (pid {pids}) has not ended within {STOP_S:.0f} s",
            hint=f"`kill -9 {pids}`; no mail is lost by it",
        )
    for process in running:
        call.tell({"running": False, "pid": process.pid}, f"the consumer (pid {process.pid}) has ended")


def _still(home: Path, running: list[Process]) -> list[Process]:
    return [process for process in running if presence.lives(home / "run", process.token)]


def _detach(call: Call, lock: int) -> None:
    out = call.home / OUT
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen(
            _command(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=call.home,
            env=_environment(call.home),
            start_new_session=True,
            pass_fds=(lock,),
        )
    finally:
        os.close(file)
        os.close(lock)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        if found := [process for process in _consumers(call.home) if process.pid == child.pid]:
            _say(call, found[0], "runs")
            # It lives on without this process.
            child.returncode = 0
            return
        time.sleep(LOOK_S)
    how = "is not up yet" if child.returncode is None else f"ended (exit {child.returncode})"
    raise SpoolError(f"the consumer {how}: {_last_lines(out)}", hint=f"all it said is in {out}")


def _last_lines(path: Path, count: int = 5) -> str:
    lines = path.read_text("utf-8", "replace").splitlines()
    return " / ".join(plain(line) for line in lines[-count:]) or "it said nothing"


def _once(call: Call) -> None:
    from spool.running import CARRIED, EXCHANGED, Running

    # Not announced as a consumer: it ends soon, and a `spool up` meanwhile must not rest on it.
    running = Running(call.home, "cli")
    running.configure_log(stderr=False)
    try:
        results = running.once()
    finally:
        running.stop()
    for peer, result in results.items():
        call.tell({"peer": peer, "result": result}, f"{peer}: {result}")
    if not results:
        call.warn("there is no peer to dial")
    if any(result not in (EXCHANGED, CARRIED) for result in results.values()):
        click.get_current_context().exit(1)


def _consumers(home: Path) -> list[Process]:
    return presence.living(home / "run", "consumer")


def _say(call: Call, process: Process, what: str) -> None:
    call.tell({"running": True, "pid": process.pid}, f"the consumer {what}, pid {process.pid}")


def _command() -> list[str]:
    # -P: a folder `workers` in the current one must not be taken for ours.
    return [sys.executable, "-P", "-m", "huey.bin.huey_consumer", APP]


def _environment(home: Path) -> dict[str, str]:
    found = {**os.environ, "SPOOL_HOME": str(home)}
    if path := found.get("PYTHONPATH"):
        # The consumer may start in another folder.
        found["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in path.split(os.pathsep))
    return found
