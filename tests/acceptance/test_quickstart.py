"""README's quick start, command for command, by two unix users over a real sshd; needs root."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import WAITING_S, alone
from tests.far_user import require_root
from tests.hosts import ROOT, until
from tests.plain_user import PlainUser, befriend, pip_settings
from tests.sshd import Sshd

LIMIT_S = 120


# It may have to wait for the tests that have these accounts just now.
pytestmark = pytest.mark.timeout(WAITING_S)


@pytest.fixture
def users() -> Iterator[tuple[PlainUser, PlainUser]]:
    """The near account, with the machine's way to the package index; and the far one, empty."""
    require_root()
    with alone():
        near, far = PlainUser("spool-near", **pip_settings()), PlainUser("spool-far")
        yield near, far
        near.remove()
        far.remove()


def blocks() -> list[list[str]]:
    """The commands of README's quick start, a list for each of its blocks."""
    section = (
        (ROOT / "README.md").read_text().split("## A first message between two hosts")[1].split("\n## ")[0]
    )
    return [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def test_readme_as_it_stands(tmp_path: Path, users: tuple[PlainUser, PlainUser]) -> None:
    """From a checkout to an answer: three commands to a link, none of them on the far side."""
    near, far = users
    setup, message = blocks()
    assert len(setup) <= 3
    checkout = _checkout(near)
    with Sshd(tmp_path / "sshd", config="AuthorizedKeysFile .ssh/authorized_keys") as sshd:
        befriend(near, far, sshd, alias="cloud")
        try:
            total = sum(_typed(near, command, checkout) for command in [*setup, *message])
            _answered(near, far)
        finally:
            near.run("spool", "down", check=False)
    print(f"{total:6.1f} s in all")
    assert total < LIMIT_S


def _typed(near: PlainUser, command: str, checkout: Path) -> float:
    """Run a command as a person at a terminal would, who agrees when asked; the seconds it took."""
    began = time.monotonic()
    here, there = pty.openpty()
    process = subprocess.Popen(
        near.as_user("bash", "-c", command, cwd=checkout), stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    said, asked = "", 0
    with contextlib.suppress(OSError):  # the terminal is closed by its last user
        while piece := os.read(here, 4096).decode(errors="replace"):
            said += piece
            if "[Y/n]" in piece:
                asked += 1
                os.write(here, b"y\n")
    os.close(here)
    assert process.wait(30) == 0, f"{command}\n{said}"
    assert asked == int("--setup" in command), said
    took = time.monotonic() - began
    print(f"{took:6.1f} s  {command}")
    return took


def _answered(near: PlainUser, far: PlainUser) -> None:
    """The far agent reads what was sent and answers, by that account's own spool."""
    spool = str(far.home / ".local" / "bin" / "spool")
    read = far.run(spool, "read").stdout
    assert "Hello. Can you read this?" in read
    sent = far.run(spool, "inbox", "--json").stdout
    (id,) = re.findall(r'"id":"([^"]+)"', sent)[:1]
    far.run(spool, "reply", id, "-b", "Yes.")
    until(lambda: "Yes." in near.run("spool", "inbox", "--full").stdout)


def _checkout(near: PlainUser) -> Path:
    """What `git clone` would give."""
    path = near.home / "spool"
    path.mkdir()
    for name in ("spool", "workers"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, path)
    subprocess.run(["chown", "-R", f"{near.name}:", str(path)], check=True)
    return path
