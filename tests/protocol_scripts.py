"""The scripts and recipes that the protocol's readers run today, as written, and how a test runs them.

Their texts stand in tests/protocol_texts.py, byte for byte; they may be imported from here as well. What
a test decides comes from the environment: HOME, a PATH on which `ssh` and `scp` know the host
`stackcp` (see `tools`), and, since the folders below /tmp are absolute there, the one replacement
that `in_folder` makes. Nothing else is changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.protocol_texts import (
    CLOUD_OPTION_1,
    CLOUD_REPLY,
    CLOUD_SCRIPTS,
    CLOUD_STEP_2,
    EXAMPLE_BLOCKER,
    EXAMPLE_BLOCKER_RESOLVED,
    EXAMPLE_DEPLOY_READY,
    LOCAL_OPTION_1,
    LOCAL_READ,
    LOCAL_SCRIPTS,
    LOCAL_SEND,
    LOCAL_STEP_1,
    LOCAL_TEST,
    RECIPES,
)
from tests.sshd import Sshd, new_key

__all__ = [
    "CLOUD_OPTION_1",
    "CLOUD_REPLY",
    "CLOUD_SCRIPTS",
    "CLOUD_STEP_2",
    "EXAMPLE_BLOCKER",
    "EXAMPLE_BLOCKER_RESOLVED",
    "EXAMPLE_DEPLOY_READY",
    "LOCAL_OPTION_1",
    "LOCAL_READ",
    "LOCAL_SCRIPTS",
    "LOCAL_SEND",
    "LOCAL_STEP_1",
    "LOCAL_TEST",
    "RECIPES",
    "environment",
    "far_line",
    "in_folder",
    "make_cloud_folders",
    "require_jq",
    "run_recipe",
    "running",
    "start_cloud_script",
    "start_local_script",
    "stop",
    "tools",
]

# Folder names stand unquoted in the scripts.
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/-]+")
_SFTP_SERVERS: Final = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
)


def in_folder(text: str, folder: Path) -> str:
    """Put `folder` in the place of /tmp: the only change that is made to a script.

    The scripts name /tmp/to-cloud and /tmp/from-cloud, which all who run on this machine share.
    """
    assert _PLAIN.fullmatch(str(folder)), f"{folder}: the scripts do not quote their folders"
    return text.replace("/tmp/", f"{folder}/")


def start_local_script(
    folder: Path, env: Mapping[str, str], text: str = LOCAL_STEP_1
) -> subprocess.Popen[bytes]:
    """Set up and start claude-sync-local.sh, with its to-cloud and from-cloud below `folder`."""
    for name in ("to-cloud", "from-cloud"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return _start(folder / "claude-sync-local.sh", in_folder(text, folder), env)


def start_cloud_script(
    home: Path, env: Mapping[str, str], text: str = CLOUD_STEP_2
) -> subprocess.Popen[bytes]:
    """Set up and start claude-sync-cloud.sh with that HOME; Option 1 makes no processed/, Step 2 does."""
    make_cloud_folders(home, processed=text != CLOUD_OPTION_1)
    return _start(home / "claude-sync-cloud.sh", text, {**env, "HOME": str(home)})


def make_cloud_folders(home: Path, *, processed: bool = True) -> None:
    """Make ~/claude-inbox, ~/claude-outbox and, where wanted, ~/claude-inbox/processed."""
    for name in ("claude-inbox", "claude-outbox", *(["claude-inbox/processed"] if processed else [])):
        (home / name).mkdir(parents=True, exist_ok=True)


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a script and what it runs: the process group that it leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    # What it was running ends a moment later, or not at all.
    deadline = time.monotonic() + 5
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """`with running(start_cloud_script(home, env)):` ends the script at the end."""
    try:
        yield process
    finally:
        stop(process)


def run_recipe(
    text: str, *, env: Mapping[str, str], home: Path, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a recipe once with that HOME, to its end; `folder` stands for /tmp where it names it."""
    if "jq " in text:
        require_jq()
    assert folder is not None or "/tmp/" not in text, (
        "this recipe writes to /tmp: say which folder stands for it"
    )
    return subprocess.run(
        ["bash", "-c", text if folder is None else in_folder(text, folder)],
        env={**env, "HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def require_jq() -> None:
    """Fail the test where the recipes cannot run; never a skip."""
    if shutil.which("jq") is None:
        pytest.fail("no jq here: install jq (apt-get install jq)", pytrace=False)


def environment(bin_dir: Path | None = None) -> dict[str, str]:
    """The environment of a script: the usual PATH, behind `bin_dir` if there is one (see `tools`)."""
    usual = os.environ.get("PATH", os.defpath)
    return {"PATH": usual if bin_dir is None else f"{bin_dir}:{usual}", "LC_ALL": "C.UTF-8"}


def tools(
    folder: Path, sshd: Sshd, home: Path, *, port: int | None = None, pause_s: float | None = None
) -> Path:
    """Make programs under which the host `stackcp` is an account of `sshd` whose home is `home`.

    `ssh` and `scp` there add `-F config`, with a key and a known_hosts of its own. With `pause_s`
    a `sleep` lies beside them that sleeps no longer than that, so that a test need not wait five
    seconds for each time round.

    Args:
        port: that of a proxy in between.

    Returns:
        The folder of the programs, for `environment`.
    """
    bin_dir = folder / "bin"
    bin_dir.mkdir(parents=True, exist_ok=True)
    sshd.authorize(far_line(folder, new_key(folder / "id_ed25519"), home))
    known, config = folder / "known_hosts", folder / "ssh_config"
    at = port or sshd.port
    known.write_text(f"[127.0.0.1]:{at} {sshd.host_key}\n")
    config.write_text(
        f"Host stackcp\n  HostName 127.0.0.1\n  Port {at}\n  User {sshd.user}\n"
        f"  IdentityFile {folder / 'id_ed25519'}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n  GlobalKnownHostsFile none\n  BatchMode yes\n"
    )
    for name in ("ssh", "scp"):
        program = shutil.which(name) or pytest.fail(f"no {name} here: install openssh-client", pytrace=False)
        _program(bin_dir / name, f'exec {shlex.quote(program)} -F {shlex.quote(str(config))} "$@"')
    if pause_s is not None:
        _program(bin_dir / "sleep", f"exec {shutil.which('sleep')} {pause_s}")
    return bin_dir


def far_line(folder: Path, public_key: str, home: Path) -> str:
    """A line of authorized_keys under which commands and sftp begin in `home`, not in the account's own.

    Without it the scripts' `rm -f ~/claude-outbox/*.json` would mean the home of whoever runs the tests.
    """
    for server in _SFTP_SERVERS:
        if Path(server).exists():
            break
    else:
        pytest.fail("no sftp-server here: install openssh-sftp-server", pytrace=False)
    home.mkdir(parents=True, exist_ok=True)
    shell = _program(
        folder / "far-shell",
        f"export HOME={shlex.quote(str(home))}\ncd || exit\n"
        f"case $SSH_ORIGINAL_COMMAND in\n"
        f"internal-sftp* | *sftp-server*) exec {server} ;;\n"
        f'*) exec bash -c "$SSH_ORIGINAL_COMMAND" ;;\nesac',
    )
    return f'command="{shell}" {public_key}'


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _start(path: Path, text: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    path.write_text(text)
    path.chmod(0o755)
    # The protocol's own name for what nohup keeps.
    with (path.parent / "claude-sync.log").open("ab") as log:
        return subprocess.Popen(
            [str(path)],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
