"""The program itself: its Python, how fast it starts, and whether a host that dials us finds it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from spool import authorized
from spool.doctor.finding import Case, Finding, failed, ok, warning

OLDEST_PYTHON: Final = (3, 11)
ASK_S: Final = 3.0
# What sshd gives a command that no login shell runs, and where the host that dials looks besides.
PLAIN_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
PLACES: Final = (".local/bin/spool", ".local/share/spool/venv/bin/spool")

_PACKAGE: Final = Path(__file__).parents[1]


def look(case: Case) -> Iterator[Finding]:
    """Check what runs spool here."""
    yield _python()
    yield _compiled()
    yield _consumer_script()
    if not case.quick and _must_be_found(case):
        yield found_by_others()


def _must_be_found(case: Case) -> bool:
    """Whether a peer dials us that no line of ours tells where spool is."""
    dial_us = [name for name, peer in case.config.peers.items() if not peer.url] if case.config else []
    try:
        return any(authorized.find(case.keys, peer=name, home=case.home) is None for name in dial_us)
    except OSError:
        return True


def _python() -> Finding:
    said = f"{sys.version.split()[0]}, {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return failed("python", said, "install spool with Python 3.11 or newer")
    return ok("python", said)


def _compiled() -> Finding:
    """Modules without a .pyc are compiled at each start, which takes several times as long."""
    # Those that can be written, the imports of this very process have written.
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    sources = [Path(file) for file in files if file and file.endswith(".py")]
    missing = [path for path in sources if not Path(cache_from_source(str(path))).exists()]
    ours = [path for path in missing if path.is_relative_to(_PACKAGE)]
    everywhere = len(missing) * 2 > len(sources)
    if len(ours) < 2 and not everywhere:
        return ok("start", "its modules are compiled")
    why = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "their folder cannot be written to"
    folder = _PACKAGE.parent if everywhere else _PACKAGE
    found = f"{len(missing)} of {len(sources)} modules are compiled anew at each start: {why}"
    remedy = f"once, as the owner of {folder}: `{sys.executable} -m compileall -q {folder}`"
    return warning("start", found, remedy)


def _consumer_script() -> Finding:
    beside = Path(sys.executable).parent / "huey_consumer"
    if beside.exists():
        return ok("path", f"{beside}")
    found = f"no huey_consumer beside {sys.executable}"
    return warning(
        "path",
        found,
        f"`{sys.executable} -m huey.bin.huey_consumer workers.app.huey` does the same, as does `spool up`",
    )


def found_by_others() -> Finding:
    """Ask the shell of this account, not as a login shell, as sshd does for a host that dials us."""
    account = pwd.getpwuid(os.getuid())
    home = os.environ.get("HOME") or account.pw_dir
    # SSH_CLIENT: by it bash knows that it has to read .bashrc.
    env = {"HOME": home, "USER": account.pw_name, "PATH": PLAIN_PATH, "SSH_CLIENT": "127.0.0.1 1 22"}
    said = _ask(account.pw_shell or "/bin/sh", env)
    places = [said, *(str(Path(home, place)) for place in PLACES)]
    here = next((place for place in places if place and os.access(place, os.X_OK)), None)
    if here is not None:
        return ok("path", f"a host that dials this one finds {here}")
    own = shutil.which("spool") or str(Path(sys.executable).parent / "spool")
    found = "a host that dials this one finds no spool, unless `spool peer authorize` named it"
    return warning("path", found, f"`mkdir -p ~/.local/bin && ln -s {own} ~/.local/bin/spool`")


def _ask(shell: str, env: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            [shell, "-c", "command -v spool"],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        # A shell that is none, or that waits for somebody: nobody gets through it either.
        return ""
    return done.stdout.strip().rpartition("\n")[2]
