"""An SSH tunnel through the sshd of the run, and programs that are run beside it and ended with it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.ground import Ground
from tests.hosts import until
from tests.protocol_scripts import tools
from tests.sshd import free_port

START_S: Final = 15.0
END_S: Final = 5.0


def missing(package: str, *programs: str) -> str:
    """What to say where a program is not installed; empty where all are."""
    if all(program(name) for name in programs):
        return ""
    return f"not installed: `apt-get install {package}`"


def program(name: str) -> str | None:
    """Where a program is, also where only root has it on the PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **more: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended at the end; what it says goes into the log."""
    with log.open("ab") as out:
        told = {"stdin": subprocess.DEVNULL, "stdout": out.fileno(), "stderr": out.fileno(), **more}
        made = subprocess.Popen(command, **told)  # type: ignore[call-overload]  # three streams
    try:
        yield made
    finally:
        if made.stdin is not None:
            made.stdin.close()
        made.terminate()
        try:
            made.wait(END_S)
        except subprocess.TimeoutExpired:
            made.kill()
            made.wait()


@contextlib.contextmanager
def tunnel(ground: Ground, folder: Path, port: int) -> Iterator[int]:
    """A port here that leads to `port` behind the sshd, both of them on loopback."""
    near = free_port()
    bin_dir = tools(folder / "ssh", ground.sshd, folder / "far-home")
    command = [str(bin_dir / "ssh"), "-N", "-o", "ExitOnForwardFailure=yes"]
    command += ["-L", f"127.0.0.1:{near}:127.0.0.1:{port}", "stackcp"]
    with running(command, folder / "tunnel.log"):
        listening(near)
        yield near


def listening(port: int) -> None:
    """Wait until a port takes connections."""

    def taken() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    until(taken, within_s=START_S, what=f"nothing listens on port {port}")
