"""`spool up`, `spool down` and `spool restart`: the consumer of this home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from spool import config, presence, starting
from spool.cli.common import Call, common
from spool.cli.text import plain
from spool.errors import NotInitialised, SpoolError
from spool.presence import Process
from spool.starting import OUT, consumers

START_S: Final = 15.0
STOP_S: Final = 30.0
LOOK_S: Final = 0.05


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
    if once and not consumers(call.home):
        _once(call)
        return
    claim = _claim(call.home)
    if isinstance(claim, Process):
        _say(call, claim, "runs already")
    elif detach:
        _background(call, claim)
    else:
        # This process becomes the consumer; nothing is left here to come back to.
        os.set_inheritable(claim, True)
        os.execve(sys.executable, starting.command(), starting.environment(call.home))  # noqa: S606


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
        _background(call, claim)


def _claim(home: Path) -> int | Process:
    """The consumer that runs, else the right to start one: an open file, to be held until its end.

    Two that start in the same instant: the second waits here until
    the first is announced. One that was started by `huey_consumer` itself has no such file.

    Raises:
        SpoolError: another one has held it for too long without being up.
    """
    lock = starting.open_lock(home)
    deadline = time.monotonic() + START_S
    while True:
        held = starting.locked(lock)
        if running := consumers(home):
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


def _down(call: Call) -> None:
    running = _running(call.home)
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


def _running(home: Path) -> list[Process]:
    """The consumers that live; one that just starts is waited for, or it would come up behind our back."""
    deadline = time.monotonic() + START_S
    while not (found := consumers(home)) and starting.starts(home) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return found


def _still(home: Path, running: list[Process]) -> list[Process]:
    return [process for process in running if presence.lives(home / "run", process.token)]


def _background(call: Call, lock: int) -> None:
    """Start it by what keeps it running, if anything does: else that would not know of it."""
    from spool.cli import service

    if (keeper := service.kept_by(call)) is None:
        _detach(call, lock)
        return
    # It claims the right to start one itself.
    os.close(lock)
    service.start(call, keeper)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if running := consumers(call.home):
            _say(call, running[0], f"runs, kept by {keeper.name}")
            return
        time.sleep(LOOK_S)
    raise SpoolError(f"{keeper.name} has not started the consumer", hint="`spool service status` says more")


def _detach(call: Call, lock: int) -> None:
    out = call.home / OUT
    file = starting.open_out(call.home)
    try:
        child = subprocess.Popen(
            starting.command(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=call.home,
            env=starting.environment(call.home),
            start_new_session=True,
            pass_fds=(lock,),
        )
    finally:
        os.close(file)
        os.close(lock)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        if found := [process for process in consumers(call.home) if process.pid == child.pid]:
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


def _say(call: Call, process: Process, what: str) -> None:
    call.tell({"running": True, "pid": process.pid}, f"the consumer {what}, pid {process.pid}")
