"""GitHub on this machine: the emulator, the proxy that checks shapes before it, and people who use it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2

from tests.github.install import Installed, installed
from tests.waiting import soon

START_S: Final = 60.0
# Tokens by login. None is a real one, nor looks like one.
TOKENS: Final = {"octocat": "octocats-token", "mona": "monas-token", "mallory": "mallorys-token"}
OWNER: Final = "octocat"
REPOS: Final = [f"r{n}" for n in range(150)]
_repos = iter(REPOS)


class Person:
    """Somebody with an account, who writes by hand, straight to the emulator."""

    def __init__(self, url: str, login: str, repo: str) -> None:
        self.root = f"/repos/{OWNER}/{repo}"
        self._http = httpx2.Client(
            base_url=url, headers={"authorization": f"Bearer {TOKENS[login]}"}, timeout=20, trust_env=False
        )

    def issues(self) -> list[dict[str, Any]]:
        """All issues, the oldest first."""
        found = self._ask("GET", "/issues?state=all&per_page=100")
        return sorted(found, key=lambda issue: issue["number"])

    def comments(self, number: int) -> list[dict[str, Any]]:
        """The comments on an issue, the oldest first."""
        found: list[dict[str, Any]] = self._ask("GET", f"/issues/{number}/comments?per_page=100")
        return found

    def issue(self, title: str, body: str, *labels: str) -> int:
        """Make an issue; its number."""
        made = self._ask("POST", "/issues", {"title": title, "body": body, "labels": list(labels)})
        return int(made["number"])

    def comment(self, number: int, body: str) -> int:
        """Comment on an issue; the comment's id."""
        return int(self._ask("POST", f"/issues/{number}/comments", {"body": body})["id"])

    def edit(self, number: int, **changes: Any) -> None:
        """Change an issue."""
        self._ask("PATCH", f"/issues/{number}", changes)

    def edit_comment(self, id: int, body: str) -> None:
        """Change a comment."""
        self._ask("PATCH", f"/issues/comments/{id}", {"body": body})

    def close(self) -> None:
        """Go."""
        self._http.close()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, self.root + path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json()


class Tower(NamedTuple):
    """The addresses: `url` checks what goes through it, `bare` is the emulator itself."""

    url: str
    bare: str


@functools.cache
def shared() -> Tower:
    """One for all tests of this process; it ends with it."""
    kept = contextlib.ExitStack()
    atexit.register(kept.close)
    return kept.enter_context(tower(installed(), *REPOS))


def own_repo() -> str:
    """A repository of the shared one that no other test of this process has."""
    return next(_repos)


@contextlib.contextmanager
def tower(found: Installed, *repos: str) -> Iterator[Tower]:
    """Run both, with these repositories of octocat's."""
    seed = {
        "tokens": {token: {"login": login, "scopes": ["repo", "user"]} for login, token in TOKENS.items()},
        "github": {
            "users": [{"login": login} for login in TOKENS],
            "repos": [{"owner": OWNER, "name": repo, "auto_init": True} for repo in repos],
        },
    }
    port, behind, checked = free_port(), free_port(), free_port()
    script = str(Path(__file__).with_name("emulator.mjs"))
    emulator = _start(found, script, str(found.folder), str(port), str(behind), json.dumps(seed))
    prism = str(found.folder / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js")
    # --errors: what does not fit the description is answered with an error, not only told of.
    words = ["proxy", str(found.description), f"http://127.0.0.1:{port}", "--errors", "-p", str(checked)]
    proxy = _start(found, prism, *words, "-h", "127.0.0.1")
    try:
        assert soon(lambda: answers(port) and answers(checked), START_S), "they did not start"
        yield Tower(f"http://127.0.0.1:{checked}", f"http://127.0.0.1:{port}")
    finally:
        for process in (proxy, emulator):
            process.terminate()
            process.wait(20)
            if process.stdin:
                process.stdin.close()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _start(found: Installed, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [found.node, *words],
        cwd=found.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
