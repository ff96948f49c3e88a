"""A real sshd on a loopback port, with throw-away keys, for tests.

What it needs: the program /usr/sbin/sshd (Debian: openssh-server) and ssh-keygen. It serves the
account that runs the tests, root or not:

- As root sshd wants the directory /run/sshd; it is made here where it is missing.
- With UsePAM no, as root, OpenSSH on Linux refuses accounts whose password field begins with `!`
  (`useradd` leaves it so); `*`, which Debian and containers give root, is not locked.
- An sshd of an ordinary user cannot read the shadow file, finds no account locked, and can log
  in nobody but its own user.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

START_S: Final = 10.0
PRIVSEP_DIR: Final = Path("/run/sshd")


def require_sshd() -> str:
    """Return sshd's path, or fail the test; never a skip, or nobody would notice what is not tested."""
    for name in ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "sshd"):
        if found := shutil.which(name):
            break
    else:
        pytest.fail("no sshd here: install openssh-server (apt-get install openssh-server)", pytrace=False)
    if not shutil.which("ssh-keygen"):
        pytest.fail("no ssh-keygen here: install openssh-client", pytrace=False)
    return found


def new_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key pair at `path` and return its public line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, path.with_name(path.name + ".pub")):
        old.unlink(missing_ok=True)
    made = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "spool-test", "-f", str(path)]
    subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text().strip()


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_home(folder: Path) -> tuple[Path, str]:
    """Make a spool home that has only its key; return it and the key's public line."""
    home = folder / "home"
    return home, new_key(home / "keys" / "id_ed25519")


class Sshd:
    """A running sshd: `with Sshd(tmp_path / "far") as sshd`.

    Attributes:
        port, user, url: where and as whom to log in.
        host_key: its public key as `ssh-ed25519 AAAA…`.
        log: the path of its log (LogLevel VERBOSE).
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: str = "",
        host_key_kind: str = "ed25519",
        sftp: bool = True,
    ) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        self.port = 0
        self.host_key = ""
        self.log = folder / "sshd.log"
        self._program = require_sshd()
        self._extra = config
        self._kind = host_key_kind
        self._sftp = "Subsystem sftp internal-sftp\n" if sftp else ""
        self._listener: subprocess.Popen[bytes] | None = None
        self._orphans: set[int] = set()  # sessions that outlived their listener

    def __enter__(self) -> Sshd:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._authorized.touch(mode=0o600)
        if os.geteuid() == 0:
            PRIVSEP_DIR.mkdir(mode=0o755, exist_ok=True)
        self._new_host_key()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """ssh://user@127.0.0.1:port."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    @property
    def known_hosts(self) -> str:
        """The line that known_hosts would have for it."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"

    def authorize(self, line: str) -> None:
        """Let a key in: a line for authorized_keys, with or without options."""
        with self._authorized.open("a") as file:
            file.write(line.rstrip("\n") + "\n")

    def start(self) -> None:
        """Start it, on the same port as before if there was one."""
        for _ in range(3):
            self.port = self.port or free_port()
            config = self.folder / "sshd_config"
            config.write_text(self._config())
            size = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                command = [self._program, "-D", "-e", "-f", str(config)]
                self._listener = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
            if self._is_listening(size):
                return
            self.port = 0  # somebody else was faster
        pytest.fail(f"sshd does not start:\n{self.log.read_text()[-2000:]}", pytrace=False)

    def stop(self) -> None:
        """End it and everything it started."""
        orphans = self._descendants()
        self._end_listener()
        _kill(orphans)

    def stop_listening(self) -> None:
        """Refuse new connections; those that stand go on."""
        self._orphans.update(self.sessions())
        self._end_listener()

    def restart_with_new_host_key(self) -> None:
        """Another key on the same port, as after a new installation."""
        self.stop()
        self._new_host_key()
        self.start()

    def sessions(self) -> list[int]:
        """The ids of the sshd processes that serve connections."""
        return [pid for pid, name in self._descendants().items() if name.startswith("sshd")]

    def commands(self) -> list[int]:
        """The ids of what the sessions run."""
        return [pid for pid, name in self._descendants().items() if not name.startswith("sshd")]

    def kill_sessions(self) -> None:
        """Break every connection with SIGKILL; the far commands see their stdin end."""
        family = self._descendants()
        _kill({pid: name for pid, name in family.items() if name.startswith("sshd")})

    def logged(self) -> str:
        """What it logged so far."""
        return self.log.read_text(errors="replace")

    @property
    def _authorized(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def _host_key_file(self) -> Path:
        return self.folder / "host_key"

    def _new_host_key(self) -> None:
        self.host_key = " ".join(new_key(self._host_key_file, kind=self._kind).split()[:2])

    def _config(self) -> str:
        # sshd takes the first value it sees: what the test asks for comes first.
        return (
            f"{self._extra}\n"
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self._host_key_file}\n"
            f"AuthorizedKeysFile {self._authorized}\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\n"
            "PermitRootLogin prohibit-password\nLogLevel VERBOSE\nUseDNS no\nPrintMotd no\n"
            f"{self._sftp}"
        )

    def _is_listening(self, offset: int) -> bool:
        assert self._listener is not None
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._listener.poll() is None:
            if b"Server listening" in self.log.read_bytes()[offset:]:
                return True
            time.sleep(0.01)
        self._end_listener()
        return False

    def _end_listener(self) -> None:
        if self._listener is None:
            return
        self._listener.terminate()
        try:
            self._listener.wait(5)
        except subprocess.TimeoutExpired:
            self._listener.kill()
            self._listener.wait(5)
        self._listener = None

    def _descendants(self) -> dict[int, str]:
        """The listener's children and theirs: id to program name."""
        table = list(processes())
        found = {pid: name for pid, _, name in table if pid in self._orphans and name.startswith("sshd")}
        family = set(found) | ({self._listener.pid} if self._listener is not None else set())
        while fresh := [row for row in table if row[1] in family and row[0] not in family]:
            family.update(pid for pid, _, _ in fresh)
            found.update((pid, name) for pid, _, name in fresh)
        return found


def _kill(pids: dict[int, str]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes() -> Iterator[tuple[int, int, str]]:
    """Id, parent and program name of every process; /proc, or `ps` where there is none."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,comm="], text=True)
        for line in listed.splitlines():
            pid, parent, name = line.split(None, 2)
            yield int(pid), int(parent), Path(name).name
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                yield int(entry.name), int(rest.split()[1]), name
