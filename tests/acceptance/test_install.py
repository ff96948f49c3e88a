"""spool put on accounts that have sshd and Python and little else, over a real sshd; needs root."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from spool.far import parcel, wheels
from tests.accounts import WAITING_S, alone
from tests.far_facts import facts
from tests.far_user import require_root
from tests.hosts import ENV, ROOT, Host, until
from tests.plain_user import PlainUser
from tests.sshd import Sshd, new_key

WHERE = Path(".local/share/spool/versions")
# An index that answers nobody, whatever the machine's own pip settings say.
NO_INDEX = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/nowhere"


# It may have to wait for the tests that have these accounts just now.
pytestmark = pytest.mark.timeout(WAITING_S)


@pytest.fixture
def far() -> Iterator[PlainUser]:
    """The account to install into: empty."""
    require_root()
    with alone():
        user = PlainUser("spool-far")
        yield user
        user.remove()


@pytest.fixture(scope="module")
def wheels_here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The wheels, fetched once: what makes pip take them from there."""
    require_root()
    folder = tmp_path_factory.mktemp("wheels")
    requires = parcel.wheel(tmp_path_factory.mktemp("own")).requires
    base = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")  # as a shell of sshd finds it
    assert base is not None
    look = "import json, platform, sys; print(json.dumps([sys.version_info[:2], platform.libc_ver()[1]]))"
    version, libc = json.loads(subprocess.check_output([base, "-c", look], text=True))
    wheels.fetch(facts(version=tuple(version), libc=f"glibc {libc}"), requires, folder)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


class Near:
    """Our side: a home, and an ssh agent with the key that the far account lets in."""

    def __init__(
        self, folder: Path, far: PlainUser, environment: str, here: Mapping[str, str] | None = None
    ) -> None:
        setting = f"AuthorizedKeysFile .ssh/authorized_keys\nSetEnv {environment}"
        self.sshd = Sshd(folder / "sshd", config=setting)
        self.host = Host(folder, "laptop", "claude-local")
        self.url = ""
        self._here = here or {}
        self._far = far
        self._folder = folder

    def __enter__(self) -> Near:
        self.sshd.__enter__()
        self.url = f"ssh://{self._far.name}@127.0.0.1:{self.sshd.port}"
        key = self._folder / "login"
        self._far.write(".ssh/authorized_keys", new_key(key) + "\n")
        self.env = {"SSH_AUTH_SOCK": str(self._folder / "agent.sock"), **self._here}
        command = ["ssh-agent", "-D", "-a", self.env["SSH_AUTH_SOCK"]]
        self._agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(lambda: Path(self.env["SSH_AUTH_SOCK"]).exists())
        subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, **self.env}, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.host.close()
        self._agent.terminate()
        self._agent.wait()
        self.sshd.stop()

    def add(self, *options: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`spool peer add cloud`, its host key compared."""
        listed = ["ssh-keygen", "-lf", str(self.sshd.folder / "host_key.pub")]
        fingerprint = subprocess.check_output(listed, text=True).split()[1]
        words = ["peer", "add", "cloud", self.url, "--fingerprint", fingerprint, "--yes", *options]
        return self.host.cli(*words, check=check, env=self.env)

    def begin_install(self) -> subprocess.Popen[str]:
        """`spool peer install cloud`, until the packages arrive there."""
        command = [
            sys.executable,
            "-m",
            "spool.cli",
            "--home",
            str(self.host.home),
            "peer",
            "install",
            "cloud",
        ]
        process = subprocess.Popen(
            command, env={**ENV, **self.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(lambda: list((self._far.home / WHERE).glob("*/wheels/pip-*")), within_s=60)
        return process


def test_only_sshd_and_python(tmp_path: Path, far: PlainUser, wheels_here: dict[str, str]) -> None:
    """No pip, no venv, no index, nothing on PATH: mail goes both ways, and upgrades keep it going."""
    with Near(tmp_path, far, f"PYTHONPATH={_without_pip(tmp_path)} {NO_INDEX}", wheels_here) as near:
        began = time.monotonic()
        near.add("--setup", "--far-agent", "claude-cloud")
        print(f"from an empty account to a link that answers: {time.monotonic() - began:.1f} s")
        again = near.host.json(
            "peer", "add", "cloud", near.url, "--setup", "--far-agent", "claude-cloud", "--yes", env=near.env
        )
        assert [again[0]["changed"], again[0]["reachable"], again[0]["setup"]] == [False, True, []]
        near.host.start()
        _talk(near.host, far)
        before = far.listing()

        broken = _install_version(tmp_path, near, "0.9.0", broken=True)
        assert broken.returncode == 1 and "built for another machine" in broken.stderr
        after = far.listing()
        assert after == {**before, **_mail(after)}

        done = _install_version(tmp_path, near, "0.9.1")
        assert done.returncode == 0, done.stderr
        assert far.run(".local/bin/spool", "--version").stdout == "spool 0.9.1\n"
        steps = near.host.json("peer", "check", "cloud")
        assert all(step["ok"] for step in steps)
        assert "claude-cloud" in far.run(".local/bin/spool", "agent", "list").stdout


def test_python_too_old(tmp_path: Path, far: PlainUser) -> None:
    """Nothing newer anywhere: one line with the reason and the road that works, and no trace of us."""
    if found := glob.glob("/usr/local/bin/python3*") + glob.glob("/opt/*/bin/python3*"):
        pytest.skip(f"this machine has Pythons that every account finds: {found}")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    old = tools / "python3"
    old.write_text(OLD_PYTHON)
    old.chmod(0o755)
    _open_to_all(tools)
    with Near(tmp_path, far, f"PATH={tools}") as near:
        before = far.listing()
        began = time.monotonic()
        refused = near.add("--setup", "--far-agent", "claude-cloud", check=1)
        print(f"refused after {time.monotonic() - began:.1f} s: {refused.stderr.strip()}")
        assert "only Python 3.9; spool needs 3.11 or newer" in refused.stderr
        road = f"spool peer add cloud sftp://{far.name}@127.0.0.1:{near.sshd.port}"
        assert road in refused.stderr and refused.stderr.count("\n") == 1
        assert far.listing() == before
        assert near.host.json("peer", "list") == []


@pytest.mark.parametrize("how", ["ctrl-c", "connection"])
def test_broken_off(tmp_path: Path, far: PlainUser, wheels_here: dict[str, str], how: str) -> None:
    """Whoever stops it half way, the account is as it was."""
    with Near(tmp_path, far, NO_INDEX, wheels_here) as near:
        near.add()
        before = far.listing()
        process = near.begin_install()
        assert far.listing() != before
        if how == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            near.sshd.kill_sessions()
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "Traceback" not in said
        until(lambda: far.listing() == before, within_s=20)


def test_killed_there(tmp_path: Path, far: PlainUser, wheels_here: dict[str, str]) -> None:
    """What kill -9 left is taken away by the next run; where keys cannot be written, the line is shown."""
    with Near(tmp_path, far, NO_INDEX, wheels_here) as near:
        near.add()
        process = near.begin_install()
        for pid in near.sshd.commands():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == 1
        assert len(list((far.home / WHERE).iterdir())) == 2  # the environment, and its mark

        keys = far.home / ".ssh" / "authorized_keys"
        os.chown(keys, 0, 0)
        keys.chmod(0o644)
        said = near.add("--setup", "--far-name", "stack", "--far-agent", "claude-cloud").stderr
        assert [path.name.split("-")[0] for path in (far.home / WHERE).iterdir()] == [_version()]
        line = re.search(r'^restrict,command=".*', said, re.MULTILINE)
        assert line is not None, said
        with keys.open("a") as file:
            file.write(line[0] + "\n")
        checked: list[dict[str, Any]] = near.host.json("peer", "check", "cloud", env=near.env)
        assert all(step["ok"] for step in checked)
        assert "host stack" in checked[-1]["detail"]


# It says that it is 3.9, to whoever asks it in whatever way.
OLD_PYTHON = """#!/bin/sh
exec /usr/bin/python3 -c '
import sys
sys.version_info = (3, 9, 2, "final", 0)
words = [word for word in sys.argv[1:] if word != "-I"]
if words[:1] != ["-c"]:
    sys.exit("Python 3.9.2")
exec(words[1])
' "$@"
"""


def _without_pip(folder: Path) -> Path:
    """A folder in which Python looks first, and finds that it has neither pip nor venv."""
    hidden = folder / "hidden"
    hidden.mkdir()
    for name in ("pip", "venv", "ensurepip"):
        (hidden / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}')\n")
    _open_to_all(hidden)
    return hidden


def _open_to_all(folder: Path) -> None:
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.getuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o055)


def _install_version(
    folder: Path, near: Near, version: str, *, broken: bool = False
) -> subprocess.CompletedProcess[str]:
    """`spool peer install` by a checkout of another version, which may not run."""
    copy = folder / version
    copy.mkdir()
    for name in ("spool", "workers"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / "spool" / "version.py").write_text(f'"""The version."""\n\nVERSION = "{version}"\n')
    if broken:
        (copy / "spool" / "store" / "sqlite.py").write_text(
            "raise ImportError('built for another machine')\n"
        )
    command = [sys.executable, "-m", "spool.cli", "--home", str(near.host.home), "peer", "install", "cloud"]
    env = {**ENV, **near.env, "PYTHONPATH": str(copy)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, cwd=copy)


def _mail(listing: dict[str, str]) -> dict[str, str]:
    """What the link that is up changes meanwhile."""
    return {name: digest for name, digest in listing.items() if name.startswith(".spool/")}


def _version() -> str:
    from spool.version import VERSION

    return VERSION


def _talk(near: Host, far: PlainUser) -> None:
    """A message there, and its answer back."""
    sent = near.cli("send", "claude-cloud", "-s", "Hello", "-b", "Can you read this?").stdout.strip()
    until(lambda: sent in far.run(".local/bin/spool", "inbox", "--json").stdout)
    far.run(".local/bin/spool", "reply", sent, "-b", "Yes.")
    until(lambda: "Yes." in near.cli("inbox", "--full", "--json").stdout)
