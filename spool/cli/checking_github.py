"""Whether a github peer can be used, step by step: its token, its repository, the right to write there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from spool.config import Peer
from spool.errors import SpoolError
from spool.running import open_issues
from spool.store.base import PeerRow
from spool.transports.github.answers import About
from spool.transports.github.client import Repository

_Step = tuple[str, bool, str, str]
STEPS: Final = ("token", "login", "repository", "issues", "limit")


def steps(peer: Peer, row: PeerRow) -> Iterator[_Step]:
    """Try it; what each step found, up to the first that failed. Nothing is written there."""
    try:
        repository = open_issues(peer)
    except SpoolError as exc:
        yield "token", False, exc.message, exc.hint
        return
    yield "token", True, "", ""
    try:
        for step, look in (("login", _login), ("repository", _rights), ("issues", _issues)):
            found = _tried(step, look, repository, peer)
            yield found
            if not found[1]:
                return
        yield _limit(repository)
    finally:
        repository.close()
    if row.state == "stopped":
        yield "dialling", False, "the peer is stopped", f"`spool peer resume {peer.name}`"


def _tried(step: str, look: Callable[[Repository, Peer], _Step], repository: Repository, peer: Peer) -> _Step:
    try:
        return look(repository, peer)
    except SpoolError as exc:
        return step, False, exc.message, exc.hint


def _login(repository: Repository, peer: Peer) -> _Step:
    login = repository.login()
    if login:
        return "login", True, login, ""
    hint = f"name the account it writes as in [peers.{peer.name}] logins"
    return "login", bool(peer.logins), "GitHub does not say whose token this is", "" if peer.logins else hint


def _rights(repository: Repository, peer: Peer) -> _Step:
    about = repository.about()
    may = about.permissions
    if may is not None and not (may.triage or may.push):
        hint = "give its account the right to triage or write: without it, labels are dropped"
        return "repository", False, f"{about.full_name}: the token may not label issues", hint
    return "repository", True, _name(about), ""


def _issues(repository: Repository, peer: Peer) -> _Step:
    found = repository.issues(1, label=peer.label, since="1970-01-01T00:00:00Z").items
    return "issues", True, f"{len(found)}{'+' if len(found) >= 100 else ''} with the label {peer.label}", ""


def _limit(repository: Repository) -> _Step:
    if (rate := repository.rate) is None:
        return "limit", True, "none told", ""
    minutes = max(0.0, rate.reset_at - time.time()) / 60
    return "limit", True, f"{rate.left:,} of {rate.limit:,} requests left for {minutes:.0f} min", ""


def _name(about: About) -> str:
    return about.full_name
