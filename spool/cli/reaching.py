"""Every peer reached over the network, for `spool doctor --peers`."""

from __future__ import annotations

from collections.abc import Iterator

from spool.api import Spool
from spool.cli import checking
from spool.config import Peer
from spool.doctor.finding import Finding, failed, ok, warning
from spool.doctor.folders import giants
from spool.errors import SpoolError
from spool.running import open_files


def each(spool: Spool) -> Iterator[Finding]:
    """Reach each peer, one after the other; one that dials us is told by its link alone."""
    for name, peer in spool.config.peers.items():
        found = checking.check(spool, peer)
        for step in found.steps:
            yield _finding(name, step)
        if peer.scheme == "sftp" and found.ok:
            yield from _giants(spool, peer)


def _finding(name: str, step: checking.Step) -> Finding:
    topic, said = f"peer {name}", f"{step.step}: {step.detail}" if step.detail else step.step
    if not step.ok:
        return failed(topic, said, step.hint or f"`spool peer check {name}`")
    return warning(topic, said, step.hint) if step.hint else ok(topic, said)


def _giants(spool: Spool, peer: Peer) -> Iterator[Finding]:
    try:
        files = open_files(peer, spool.home)
        try:
            yield from giants(files, peer)
        finally:
            files.close()
    except SpoolError as exc:
        yield failed(f"peer {peer.name}", exc.message, exc.hint or f"`spool peer check {peer.name}`")
