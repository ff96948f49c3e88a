"""`spool serve`: the far end of a link, on stdin and stdout."""

from __future__ import annotations

import contextlib
import signal
import sys

import click

from spool.cli.common import Call, common
from spool.errors import LinkError, LinkLost, NotAuthorised, SpoolError, UnknownPeer
from spool.running import Running
from spool.transports.frames import Bye, encode
from spool.transports.stdio import StdioPipe


@click.command()
@common
@click.option(
    "--peer", required=True, metavar="NAME", help="Who dials: the peer's name in this host's config."
)
def serve(call: Call, peer: str) -> None:
    """Be the far end of a link with PEER, until it ends.

    sshd starts this by the line that `spool peer authorize` wrote; nobody types it.

    \b
    Example, in a dialling host's config:
      url = "exec:docker exec -i box spool serve --peer laptop"
    """
    pipe = StdioPipe()
    try:
        running = Running(call.home, "serve")
    except SpoolError as exc:
        raise _refused(pipe, exc) from exc
    running.configure_log(stderr=False)
    signal.signal(signal.SIGTERM, lambda *_: running.carrier.end_accepted())
    try:
        running.serve(peer, pipe)
    except UnknownPeer as exc:
        unknown = NotAuthorised(f"{running.host} knows no peer {peer!r}", hint="`spool peer authorize` there")
        raise _refused(pipe, unknown) from exc
    except LinkLost:
        # The dialler has ended, which is how a link ends.
        return
    except LinkError as exc:
        print(f"spool: {exc}", file=sys.stderr)
    finally:
        running.stop()


def _refused(pipe: StdioPipe, exc: SpoolError) -> SpoolError:
    """Tell the dialler why, where it can read it; the error goes to stderr too."""
    with contextlib.suppress(LinkError):
        pipe.send(encode(Bye(exc.kind, exc.message)))
    return exc
