"""`spool hook`, for whoever asks what it does; a client's call does not come by here."""

from __future__ import annotations

import click

from spool.cli.common import Call, common
from spool.cli.kinds import length
from spool.hook.claude import EVENTS
from spool.hook.words import SOCKET, WAIT, WAIT_S


@click.command(epilog="A client runs it: `spool agent install claude-code` writes its settings.")
@click.argument("event", type=click.Choice([*EVENTS, WAIT]))
@click.option("--wake", type=click.Choice([SOCKET]), help="Of session-start: how mail wakes it when idle.")
@click.option("--timeout", type=length, metavar="S", default=WAIT_S, help="Of wait: for how long.  [12 h]")
@common
def hook(call: Call, event: str, wake: str | None, timeout: float) -> None:
    """Tell a session of Claude Code of its mail, at one of its turns.

    Reads the hook's JSON on standard input and prints the JSON that Claude Code expects, or
    nothing. To be told of a message is not to have read it. The exit code is 0; what went wrong is
    in the log as hook.failed.

    `wait` is no turn: it waits beside an idle session, and when mail comes it prints it on stderr and
    ends with exit code 2, which wakes the session. It is opt-in: `spool agent install --wake rewake`.

    The session reads as $SPOOL_AGENT, else as --agent, else as the only agent here.

    \b
    Example:
      spool hook stop < input.json
    """
    from spool.hook.run import main
    from spool.hook.words import Asked

    main(Asked(event, call.home_given, call.agent, wake, timeout))
