"""Adding a github peer: which way it goes, whose word counts, and where its token is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from spool.cli.given import Given
from spool.config import ISSUES_POLL_S, Peer
from spool.errors import BadInput


def with_token(peer: Peer, given: Given) -> Peer:
    """The peer with what was asked for.

    Raises:
        BadInput: a token was to be written into the config, or it is not said who lives there.
    """
    if given.token_env and not given.token_env.replace("_", "").isalnum():
        raise BadInput("--token-env: that is no variable's name", hint="name the variable, not the token")
    token_file = str(Path(given.token_file).expanduser().absolute()) if given.token_file else peer.token_file
    made = msgspec.structs.replace(
        peer,
        direction=(given.direction or peer.direction).lower(),
        reads=(given.reads or peer.reads).lower(),
        label=given.label or peer.label,
        logins=list(given.logins) or peer.logins,
        base_url=given.base_url or peer.base_url,
        token_file="" if given.token_env else token_file,
        token_env="" if given.token_file else given.token_env or peer.token_env,
        token_command=[] if given.token_file or given.token_env else peer.token_command,
        poll_s=given.poll_s or (peer.poll_s if peer.poll_s != Peer().poll_s else ISSUES_POLL_S),
    )
    if made.direction and not made.may_send:
        raise BadInput(
            f"{made.name}: who lives there? A repository cannot say",
            hint='name them, as in --agents "claude-cloud*"',
        )
    return made
