"""Adding an HTTPS peer, and letting one in that posts to us: the secret that the two hosts share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from spool import config, config_edit, web_secret
from spool.cli.common import Call
from spool.cli.given import Given
from spool.config import Config, Peer
from spool.errors import BadInput
from spool.home import write_atomically
from spool.transports import http_signed

FOLDER: Final = "keys"


def with_secret(call: Call, peer: Peer, given: Given) -> Peer:
    """The peer with the secret and the certificate that were asked for; a person is asked for a secret.

    Raises:
        BadInput: nobody said where the secret is.
        NoCredential: it is none, or cannot be read.
    """
    if given.secret_file:
        peer = _named(peer, given.secret_file)
    if given.ca_file:
        path = Path(given.ca_file).expanduser().absolute()
        if not path.is_file():
            raise BadInput(
                f"--ca-file: {path} is no file", hint="name the authority's certificate, in PEM form"
            )
        peer = msgspec.structs.replace(peer, ca_file=str(path))
    if not web_secret.has_one(peer):
        peer = _asked(call, peer)
    web_secret.of(peer, call.home)
    return peer


def let_in(call: Call, name: str, agents: tuple[str, ...], secret_file: str) -> None:
    """Let a host post to `spool web` here with a secret, which is made where its file is not there."""
    here = config.load(call.home)
    before = here.peers.get(name)
    wanted = _named(before or Peer(name=name), secret_file)
    wanted = msgspec.structs.replace(wanted, agents=list(agents) or wanted.agents)
    config.check(Config(here.host, {**here.peers, name: wanted}, here.escalation, here.web))
    path = web_secret.path_of(wanted, call.home)
    if made := not path.exists():
        web_secret.make(path)
    else:
        web_secret.of(wanted, call.home)
    if wanted != before:
        config_edit.set_peer(call.home, name, {"agents": wanted.agents, "secret_file": wanted.secret_file})
    view = {"name": name, "secret_file": str(path), "made": made, "changed": wanted != before}
    call.tell(view, f"{name} may post to `spool web` here\nsecret: {path}" + (" (new)" if made else ""))
    if made:
        call.warn(
            f"copy {path} to {name}, and there:"
            f" `spool peer add {here.host.name} https://HOST:PORT/chat --secret-file FILE`"
        )
    if here.web is None:
        call.warn("warning: spool.toml has no [web] table yet, which says where `spool web` listens")


def _named(peer: Peer, secret_file: str) -> Peer:
    path = str(Path(secret_file).expanduser().absolute())
    return msgspec.structs.replace(peer, secret_file=path, secret_command=[], secret_env="")


def _asked(call: Call, peer: Peer) -> Peer:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(
            f"{peer.name}: an https:// peer shares a secret with this host",
            hint="--secret-file FILE; over there `spool peer authorize NAME --secret-file FILE` makes it",
        )
    secret = http_signed.check(click.prompt(f"The secret shared with {peer.name}", hide_input=True, err=True))
    path = call.home / FOLDER / f"{peer.name}.secret"
    write_atomically(path, f"{secret}\n".encode(), mode=0o600)
    return _named(peer, str(path))
