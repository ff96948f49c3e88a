"""A second unix user with an installation of spool of its own, for tests; needs root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "spool-far"
WHY: Final = "two unix users need root: run the tests once as root"


def require_root() -> None:
    """Skip, loudly (conftest.py prints it at the end), where no second user can be made."""
    if os.geteuid() != 0:
        pytest.skip(WHY)


class FarUser:
    """An account whose spool lies in ~/.local and on no PATH.

    Args:
        ahead_s: how far the clock of all its Pythons is ahead.
        zone: the time zone of its processes.
    """

    def __init__(self, *, ahead_s: float, zone: str) -> None:
        self.ahead_s = ahead_s
        self.zone = zone
        subprocess.run(["userdel", "-rf", NAME], capture_output=True, check=False)
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", NAME], check=True, capture_output=True)
        # useradd locks the account by its password field; sshd without PAM refuses such.
        subprocess.run(["usermod", "-p", "*", NAME], check=True)
        self.folder = Path(pwd.getpwnam(NAME).pw_dir)
        self.venv = self.folder / ".local" / "share" / "spool" / "venv"
        self._install()

    def run(self, *command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, with a login's bare environment."""
        done = subprocess.run(
            self.as_user(*command), input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def as_user(self, *command: str, **env: str) -> list[str]:
        """The argument list that runs a command as this user."""
        bare = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "USER": NAME, **env}
        return [
            "runuser", "-u", NAME, "--", "env", "-i", "-C", str(self.folder),
            *(f"{k}={v}" for k, v in bare.items()), *command,
        ]  # fmt: skip

    def remove(self) -> None:
        """Take the account and all it has away."""
        subprocess.run(["pkill", "-KILL", "-u", NAME], capture_output=True, check=False)
        subprocess.run(["userdel", "-rf", NAME], capture_output=True, check=False)

    def _install(self) -> None:
        """As pip would leave it: a venv, the packages, and a script that starts spool."""
        python = self._python()
        packages = self.folder / ".local" / "share" / "spool" / "packages"
        shutil.copytree(sysconfig.get_paths()["purelib"], packages, ignore=shutil.ignore_patterns("*.pth"))
        for name in ("spool", "workers"):
            shutil.copytree(ROOT / name, packages / name, dirs_exist_ok=True)
        # Loaded at the start of each Python: to spool it is the machine's own clock.
        (packages / "clock_ahead.py").write_text(
            f"import time\n_true = time.time\ntime.time = lambda: _true() + {self.ahead_s}\n"
        )
        subprocess.run(["chown", "-R", f"{NAME}:", str(self.folder / ".local")], check=True)
        self.run(python, "-m", "venv", "--without-pip", str(self.venv))
        site = self.run(
            str(self.venv / "bin" / "python"),
            "-c",
            "import sysconfig; print(sysconfig.get_paths()['purelib'])",
        ).stdout.strip()
        Path(site, "spool.pth").write_text(f"{packages}\nimport clock_ahead\n")
        script = self.venv / "bin" / "spool"
        script.write_text(f'#!/bin/sh\nexec env TZ={self.zone} {self.venv}/bin/python -m spool.cli "$@"\n')
        script.chmod(0o755)

    def _python(self) -> str:
        """A Python of our own version that the other user can run too."""
        want = f"{sys.version_info.major}.{sys.version_info.minor}"
        for path in (
            str(Path(sys.executable).resolve()),
            f"/usr/bin/python{want}",
            f"/usr/local/bin/python{want}",
        ):
            if Path(path).exists() and self.run(path, "--version", check=False).returncode == 0:
                return path
        pytest.fail(f"no Python {want} that another user can run: install python{want}", pytrace=False)
