"""A unix user with nothing of spool's, and another who may log in to it, for tests; needs root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from tests.sshd import Sshd, new_key


class PlainUser:
    """A fresh account; `env` is what its processes have besides HOME, USER and PATH."""

    def __init__(self, name: str, **env: str) -> None:
        self.name = name
        self.env = env
        subprocess.run(["userdel", "-rf", name], capture_output=True, check=False)
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True, capture_output=True)
        # useradd locks the account by its password field; sshd without PAM refuses such.
        subprocess.run(["usermod", "-p", "*", name], check=True)
        self.home = Path(pwd.getpwnam(name).pw_dir)

    def as_user(self, *command: str, cwd: Path | None = None) -> list[str]:
        """The argument list that runs a command as this user."""
        path = f"{self.home}/.local/bin:/usr/local/bin:/usr/bin:/bin"
        bare = {"HOME": str(self.home), "USER": self.name, "PATH": path, **self.env}
        words = [f"{key}={value}" for key, value in bare.items()]
        return ["runuser", "-u", self.name, "--", "env", "-i", "-C", str(cwd or self.home), *words, *command]

    def run(
        self, *command: str, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user; its status must be 0 unless `check` is False."""
        words = self.as_user(*command, cwd=cwd)
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=110
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def write(self, path: str, text: str, *, mode: int = 0o600) -> Path:
        """Write a file of this user's, in folders that only it may enter."""
        file = self.home / path
        for folder in reversed([each for each in file.parents if each.is_relative_to(self.home)]):
            folder.mkdir(mode=0o700, exist_ok=True)
            shutil.chown(folder, self.name)
        file.write_text(text)
        file.chmod(mode)
        shutil.chown(file, self.name)
        return file

    def listing(self) -> dict[str, str]:
        """Every name under its home, with a hash of what is in it."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            name = str(path.relative_to(self.home))
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        return found

    def remove(self) -> None:
        """Take the account and all it has away."""
        uid = pwd.getpwnam(self.name).pw_uid
        for pid in [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]:
            with contextlib.suppress(OSError):
                if Path("/proc", str(pid)).stat().st_uid == uid:
                    os.kill(pid, signal.SIGKILL)
        subprocess.run(["userdel", "-rf", self.name], capture_output=True, check=False)


def befriend(near: PlainUser, far: PlainUser, sshd: Sshd, *, alias: str) -> None:
    """Let `ssh ALIAS` of the one log in as the other, the host key known: what people have already."""
    public = new_key(near.home / ".ssh" / "id_ed25519")
    subprocess.run(["chown", "-R", f"{near.name}:", str(near.home / ".ssh")], check=True)
    (near.home / ".ssh").chmod(0o700)
    far.write(".ssh/authorized_keys", public + "\n")
    near.write(".ssh/known_hosts", sshd.known_hosts)
    near.write(".ssh/config", f"Host {alias}\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {far.name}\n")


def pip_settings() -> dict[str, str]:
    """What our own environment says of the package index: another account must reach it too."""
    return {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
