"""`spool serve`: the far end of a link, on standard input and output."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType

import click

from spool.cli.common import Call, common
from spool.errors import LinkLost, NoSpoolThere, NotAuthorised, SpoolError, Superseded, UnknownPeer
from spool.running import Running
from spool.transports import frames
from spool.transports.stdio import StdioPipe


@click.command()
@common
@click.option("--peer", required=True, metavar="NAME", help="Who dials us.")
def serve(call: Call, peer: str) -> None:
    """Be the far end of a link, on standard input and output, until it ends.

    sshd starts this for the key that `spool peer authorize` wrote down; the url of an
    exec: peer starts it too. Nobody needs to type it.

    \b
    Example:
      ssh host spool serve --peer laptop
    """
    # First of all: from here on nothing can be printed into the link.
    pipe = StdioPipe()
    try:
        _serve(call, peer, pipe)
    except (LinkLost, NoSpoolThere, Superseded):
        # The dialler ended it, before its hello or after, or has another link now.
        return
    except SpoolError as exc:
        _say_bye(pipe, exc)
        raise


def _serve(call: Call, peer: str, pipe: StdioPipe) -> None:
    running = Running(call.home, "serve")
    running.configure_log(stderr=False)

    def end(_: int, __: FrameType | None) -> None:
        # Not in the handler itself: ending takes locks that this thread may hold.
        threading.Thread(target=running.carrier.stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    try:
        running.serve(peer, pipe)
    except UnknownPeer as exc:
        raise NotAuthorised(
            f"{running.host} has no peer called {peer}",
            hint=f"on {running.host}: `spool peer authorize {peer} KEY-FILE`",
        ) from exc
    finally:
        running.stop()


def _say_bye(pipe: StdioPipe, exc: SpoolError) -> None:
    """Tell the dialler why; where the link came as far as hello, it has said so itself."""
    with contextlib.suppress(LinkLost):
        pipe.send(frames.encode(frames.Bye(exc.kind, str(exc))))
