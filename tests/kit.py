"""spool-lite in one shell and one home, for tests."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[1] / "spool" / "kit" / "spool-lite"
SHELLS: Final = ("dash", "bash", "busybox")
AT_ONCE: Final = 20


class Kit:
    """spool-lite in one shell, in one home."""

    def __init__(self, shell: Sequence[str], home: Path, path: str) -> None:
        self._shell = shell
        self.home = home
        self.inbox = home / "claude-inbox"
        self.processed = self.inbox / "processed"
        self.outbox = home / "claude-outbox"
        self.path = path

    def __call__(
        self,
        *args: str,
        stdin: bytes = b"",
        check: int = 0,
        env: dict[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run it; the exit code must be `check`."""
        done = subprocess.run(
            [*self._shell, str(SCRIPT), *args],
            input=stdin,
            capture_output=True,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": self.path, "LC_ALL": "C.UTF-8", **(env or {})},
            timeout=60,
            preexec_fn=preexec,
            restore_signals=preexec is None,
        )
        text = subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert text.returncode == check, f"{args}: {text.returncode}\n{text.stdout}{text.stderr}"
        return text

    def send(self, *args: str, stdin: bytes = b"") -> dict[str, object]:
        """Send; what stands in the file of the printed id."""
        name = self("send", *args, stdin=stdin).stdout.removesuffix("\n")
        found: dict[str, object] = json.loads((self.outbox / f"{name}.json").read_bytes())
        return found

    def put(self, name: str, raw: bytes = b"{}", *, age_s: float = 0.0) -> Path:
        """Put a file into its inbox, as a peer does."""
        self.inbox.mkdir(exist_ok=True)
        path = self.inbox / name
        path.write_bytes(raw)
        os.utime(path, (1_700_000_000 - age_s, 1_700_000_000 - age_s))
        return path

    def acks(self) -> list[dict[str, str]]:
        """What it acknowledged, in the order of the files' names."""
        return [json.loads(path.read_text()) for path in sorted(self.outbox.glob("ack-*.json"))]


def in_shell(name: str, folder: Path) -> Kit:
    """A kit in one of SHELLS; with busybox nothing but busybox is on its PATH.

    Where dash or bash is missing the test fails; where busybox is, it is listed as not run.
    """
    program = shutil.which(name)
    if program is None and name == "busybox":
        pytest.skip("no busybox here: install busybox (apt-get install busybox)")
    if program is None:
        pytest.fail(f"no {name} here: install {name} (apt-get install {name})", pytrace=False)
    home = folder / "home"
    home.mkdir()
    if name != "busybox":
        return Kit([program], home, os.defpath)
    applets = folder / "applets"
    applets.mkdir()
    subprocess.run([program, "--install", "-s", str(applets)], check=True, capture_output=True)
    return Kit([program, "sh"], home, str(applets))


def full_disk() -> None:
    """Let no file grow, as on a disk that is full (EFBIG; python ignores SIGXFSZ, and so does its child)."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def killed_at_20_kb() -> None:
    """End the shell by a signal when a file of its grows beyond 20 KB: in the middle of writing it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_480, 20_480))
