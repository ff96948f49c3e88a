"""The stage that the examples play on: two hosts on this machine, linked, gone at the end.

On real hosts `spool peer add NAME ssh://HOST --setup` does what is done here, over ssh.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SPOOL = [sys.executable, "-m", "spool"]


def spool(home: Path, *args: str, stdin: str = "") -> str:
    """What `spool ARGS` of this home prints; where it fails, its own words and the end."""
    done = subprocess.run([*SPOOL, *args, "--home", str(home)], input=stdin, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip() or f"spool {args[0]} failed")
    return done.stdout


@contextlib.contextmanager
def two_homes(*, near: str, far: str) -> Iterator[tuple[Path, Path]]:
    """The homes of laptop, where `near` reads and which dials, and of cloud, where `far` reads."""
    with tempfile.TemporaryDirectory(prefix="spool-example-") as folder:
        laptop, cloud = Path(folder, "laptop"), Path(folder, "cloud")
        made = json.loads(spool(laptop, "init", "--name", "laptop", "--agent", near, "--json"))
        spool(cloud, "init", "--name", "cloud", "--agent", far)
        spool(
            cloud, "peer", "authorize", "laptop", "-", "--agents", near, "--print", stdin=made["public_key"]
        )
        serve = shlex.join([*SPOOL, "--home", str(cloud), "serve", "--peer", "laptop"])
        spool(laptop, "peer", "add", "cloud", f"exec:{serve}", "--agents", far)
        spool(laptop, "up", "--detach")
        try:
            yield laptop, cloud
        finally:
            spool(laptop, "down")
