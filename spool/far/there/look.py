"""What matters for an installation; nothing is changed, but for what a broken one left."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shutil
import socket
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from spool.far.there.commands import output
from spool.far.there.place import Place, Trouble, locked, remove_folders, tidy


def look(request: dict[str, Any]) -> dict[str, Any]:
    """Tell what matters for an installation; what a broken one left is taken away first, if asked."""
    place = Place(Path.home())
    if request["tidy"] and place.versions.is_dir():
        with contextlib.suppress(Trouble), locked(place):
            remove_folders(tidy(place))
    room = os.statvfs(place.home)
    musl = "musl" in str(sysconfig.get_config_var("SOABI")) or "musl" in platform.libc_ver()[0]
    return {
        "python": base_python(),
        "version": list(sys.version_info[:2]),
        "system": sys.platform,
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libc": "musl" if musl else " ".join(platform.libc_ver()),
        "mac": platform.mac_ver()[0],
        "host": socket.gethostname(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "home": str(place.home),
        "writable": os.access(place.home, os.W_OK | os.X_OK),
        "noexec": bool(room.f_flag & getattr(os, "ST_NOEXEC", 0)),
        "free_bytes": room.f_bavail * room.f_frsize,
        "link_is_file": place.link.exists() and not place.link.is_symlink(),
        "index": reaches_index(),
        "spools": installed(place),
        "keys_writable": keys_writable(),
        "key_lines": key_lines(request["key"]),
        **mail_home(place.home / ".spool"),
    }


def base_python() -> str:
    """The interpreter itself, not the environment that it may have been started from."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).absolute())


def reaches_index() -> bool:
    """Whether a pip that can install elsewhere is here, and gets a small package."""
    pip = [sys.executable, "-m", "pip"]
    told = output([*pip, "--version"])
    numbers = told.split()[1].split(".")[:2] if told.startswith("pip ") else ["0", "0"]
    if [int(n) if n.isdigit() else 0 for n in numbers] < [22, 3]:  # the first with --python
        return False
    with tempfile.TemporaryDirectory() as folder:
        small = ["--no-deps", "--no-cache-dir", "--retries", "0", "--timeout", "5", "-d", folder, "scp"]
        command = [*pip, "--no-input", "--disable-pip-version-check", "download", "--quiet", *small]
        return output([*command, "--only-binary=:all:"], failed="no") != "no"


def installed(place: Place) -> dict[str, str]:
    """The path of each spool that works, and its version; the preferred one first."""
    found = {}
    on_path = shutil.which("spool")
    for path in (place.link, Path(on_path) if on_path else None, place.root / "venv" / "bin" / "spool"):
        words = output([str(path), "--version"]).split() if path and path.is_file() else []
        if words:
            found[str(path)] = words[-1]
    return found


def authorized_keys() -> Path:
    """sshd's usual file for keys, in the account's own home, whatever HOME says."""
    return Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh", "authorized_keys")


def key_lines(key: str) -> list[str]:
    """The lines that let a key in."""
    try:
        text = authorized_keys().read_text("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if key and key in line and not line.startswith("#")]


def keys_writable() -> bool:
    """Whether the account may change its authorized_keys."""
    path = authorized_keys()
    if path.exists() and not os.access(path, os.W_OK):
        return False
    near = path.parent if path.parent.exists() else path.parent.parent
    return os.access(near, os.W_OK | os.X_OK)


def mail_home(home: Path) -> dict[str, Any]:
    """The name and the agents of the spool home, where there is one."""
    try:
        config = tomllib.loads((home / "spool.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {"spool_host": "", "spool_agents": [], "spool_peers": {}}
    host = config.get("host", {})
    peers = {name: list(peer.get("agents", [])) for name, peer in config.get("peers", {}).items()}
    return {
        "spool_host": str(host.get("name", "")),
        "spool_agents": list(host.get("agents", [])),
        "spool_peers": peers,
    }
