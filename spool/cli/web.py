"""`spool web`: the door for peers that post over HTTPS."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import click
import msgspec

from spool import config, credentials, log, web_secret
from spool.cli.common import Call, common, echo
from spool.errors import SpoolError

LOOK_S = 0.5


@click.command()
@common
@click.option("--new-secret", metavar="FILE", help="Make a secret to share with a peer, and end.")
@click.option("--openapi", is_flag=True, help="Print the OpenAPI description, and end.")
def web(call: Call, new_secret: str | None, openapi: bool) -> None:
    """Take what HTTPS peers post, and give them their mail when they poll, until told to end.

    Where it listens, and with which certificate, stands in the [web] table of
    spool.toml. A peer that may post shares a secret with this host: its
    secret_file names a file with it, the same as at the peer.

    \b
    Examples:
      spool web --new-secret ~/.spool/keys/laptop.secret
      spool web
    """
    if new_secret is not None:
        path = Path(new_secret).expanduser().absolute()
        secret = web_secret.make(path)
        call.tell({"file": str(path), "secret": secret}, secret)
    elif openapi:
        _describe(call)
    else:
        _serve(call)


def _describe(call: Call) -> None:
    described = credentials.needed("spool.web.openapi", name="web", wanted_by="spool web")
    table = config.load(call.home).web
    echo(msgspec.json.format(msgspec.json.encode(described.description(table.path if table else "/chat"))))


def _serve(call: Call) -> None:
    server_module = credentials.needed("spool.web.server", name="web", wanted_by="spool web")
    from spool.running import Running

    os.umask(0o077)
    running = Running(call.home, "web")
    ended = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    try:
        running.configure_log(stderr=False)
        server = server_module.Server(running)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        # Else each reload of a terminal's session would end it.
        signal.signal(signal.SIGHUP, lambda *_: None)
        running.listener.subscribe(server.ring)
        with running.sweeping():
            server.start()
            call.tell(
                {"listening": True, "port": server.port, "pid": os.getpid()},
                f"listening on {server.url}, pid {os.getpid()}",
            )
            while not ended.wait(LOOK_S) and server.is_alive():
                running.check()
            began = time.monotonic()
            server.stop()
            log.info("web.stopped", took_s=round(time.monotonic() - began, 3))
    finally:
        running.stop()
    if not ended.is_set():
        raise SpoolError("the server ended by itself", hint="`spool log --level error` says why")
