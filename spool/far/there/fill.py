"""An environment made, filled from wheels and tried."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from spool.far.there.commands import must
from spool.far.there.look import base_python
from spool.far.there.place import Trouble

TRY_S: Final = 120
PIP_S: Final = 900
PIECE_BYTES: Final = 1 << 18
LIBRARIES: Final = (
    "import apsw, cryptography, huey, msgspec, paramiko, uuid_utils; from spool.store import sqlite"
)
Say = Callable[[dict[str, Any]], None]


def fill(env: Path, request: dict[str, Any], say: Say) -> None:
    """Make the environment whole, and see that what is in it runs."""
    env.mkdir()
    reserve(env, request["need_bytes"])
    wheels = env / "wheels"
    wheels.mkdir()
    receive(wheels, request["files"])
    threading.Thread(target=end_with_stdin, daemon=True).start()
    make_environment(env)
    say({"step": "installing, and compiling"})
    fill_with_pip(env, wheels, carried=request["carried"])
    shutil.rmtree(wheels)
    say({"step": "trying what was installed"})
    must([str(env / "bin" / "python"), "-I", "-c", LIBRARIES], TRY_S)
    told = must([str(env / "bin" / "spool"), "--version"], TRY_S)
    if told.split()[-1:] != [request["spool"]] or not (env / "bin" / "huey_consumer").exists():
        raise Trouble(f"what was installed is not whole: it says {told.strip()!r}")


def reserve(env: Path, size: int) -> None:
    """Find out now whether disk and quota have the room: free space says nothing of a quota."""
    if not hasattr(os, "posix_fallocate"):
        return
    path = env / "room"
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as exc:
        if exc.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            return  # this file system cannot say
        raise Trouble(f"no room for {size >> 20} MB there: {exc.strerror}") from exc
    finally:
        os.close(file)
        path.unlink()


def receive(folder: Path, files: list[list[Any]]) -> None:
    """Write the files that follow on standard input, each a name and a size."""
    for name, size in files:
        with (folder / Path(name).name).open("wb") as file:
            while size:
                piece = sys.stdin.buffer.read(min(size, PIECE_BYTES))
                if not piece:
                    raise Trouble("the connection broke while the packages were carried")
                file.write(piece)
                size -= len(piece)


def end_with_stdin() -> None:
    """Nobody waits for the answer any more: stop, which undoes what was begun."""
    while os.read(0, 1):  # not through the buffer, whose lock would be held when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def make_environment(env: Path) -> None:
    """Lay a virtual environment out as `venv` does, which not every Python has (PEP 405)."""
    python = Path(base_python())
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = env / "lib" / f"python{version}" / "site-packages"
    site.mkdir(parents=True)
    if sys.maxsize > 2**32 and sys.platform == "linux":
        (env / "lib64").symlink_to("lib")
    (env / "bin").mkdir()
    (env / "bin" / "python").symlink_to(python)
    for name in ("python3", f"python{version}"):
        (env / "bin" / name).symlink_to("python")
    (env / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n"
        f"version = {platform.python_version()}\n"
    )


def fill_with_pip(env: Path, wheels: Path, *, carried: bool) -> None:
    """Install spool's wheel: all from what was carried, or the rest from the index that is reached here."""
    python = str(env / "bin" / "python")
    (spool,) = wheels.glob("agent_spool-*.whl")
    temporary = env / "tmp"
    temporary.mkdir()
    pip = [sys.executable, "-m", "pip", "--python", python]
    source = ["--only-binary=:all:"]
    if carried:
        # A wheel is a zip, and pip runs from it. Its settings here are for an index that is not used.
        (own,) = wheels.glob("pip-*.whl")
        pip = [python, "-I", f"{own}/pip", "--isolated"]
        source = ["--no-index", "--find-links", str(wheels)]
    quiet = ["--no-input", "--disable-pip-version-check", "--quiet"]
    habits = ["--no-cache-dir", "--compile", "--no-warn-script-location"]
    command = [*pip, *quiet, "install", *habits, *source, str(spool)]
    # /tmp may be small, and what pip leaves there when it is killed goes with the environment.
    must(["env", f"TMPDIR={temporary}", *command], PIP_S)
    shutil.rmtree(temporary)
