"""Adding a files peer: who lives there must be said, its folders made, spool-lite copied if wanted."""

from __future__ import annotations

import sys
from typing import Final

import click
import msgspec

from spool import kit
from spool.cli.common import Call
from spool.cli.given import Given
from spool.config import Peer
from spool.errors import BadInput, LinkError
from spool.running import open_files
from spool.transports import folders
from spool.transports.base import Failure, Files

# As the scripts in use have them.
INBOX: Final = "~/claude-inbox"
OUTBOX: Final = "~/claude-outbox"


def with_folders(peer: Peer, given: Given, *, new: bool) -> Peer:
    """The peer with the folders and the habits that were asked for, or those that scripts expect."""
    there = peer.scheme == "sftp" and not (peer.inbox or peer.outbox or given.inbox or given.outbox)
    return msgspec.structs.replace(
        peer,
        inbox=given.inbox if given.inbox is not None else INBOX if there else peer.inbox,
        outbox=given.outbox if given.outbox is not None else OUTBOX if there else peer.outbox,
        acks=peer.acks if given.acks is None else given.acks,
        mode=given.mode or peer.mode,
        poll_s=given.poll_s or peer.poll_s,
        # Whoever runs scripts there logs in with a key of their own.
        identity="user" if new and given.identity is None and peer.scheme == "sftp" else peer.identity,
    )


def refuse_unnamed(peer: Peer) -> None:
    """Raise BadInput where nobody would live there: folders say no hello."""
    if not peer.agents and not peer.via:
        raise BadInput(
            f"{peer.name}: who lives there? A folder cannot say",
            hint='name them, as in --agents "build-*"',
        )


def prepare(call: Call, peer: Peer, given: Given, *, new: bool) -> list[str]:
    """Make the folders that are missing, where a person agrees; what was made. Never raises for the peer."""
    try:
        files = open_files(peer, call.home)
    except LinkError:
        # The check that follows says it step by step.
        return []
    try:
        return [
            *_make_folders(call, files, peer, yes=given.yes),
            *_copy_kit(call, files, peer, given, new=new),
        ]
    except LinkError as exc:
        call.warn(f"warning: {exc}")
        return []
    finally:
        files.close()


def _make_folders(call: Call, files: Files, peer: Peer, *, yes: bool) -> list[str]:
    made = []
    for folder in folders.missing(files, peer):
        if yes or _agreed(f"{peer.name} has no {folder}. Make it?"):
            files.make(folder)
            made.append(folder)
    return made


def _copy_kit(call: Call, files: Files, peer: Peer, given: Given, *, new: bool) -> list[str]:
    """Copy spool-lite there, if that is asked for; a person who adds a new peer is asked."""
    offered = new and peer.scheme == "sftp" and not given.yes
    if not given.kit and not (offered and _agreed(f"Copy {kit.NAME} to {peer.name}?")):
        return []
    path = f"~/{kit.NAME}"
    text = kit.text().encode()
    (there,) = files.fetch([path], max_bytes=len(text) + 1)
    if there == text:
        return []
    (failed,) = files.put([(path, text)])
    if isinstance(failed, Failure):
        call.warn(f"warning: {kit.NAME} was not copied: {failed.reason}")
        return []
    if not call.json:
        call.say(f"{path} is there now: run it with `sh {path}`")
    return [path]


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and click.confirm(question, err=True)
