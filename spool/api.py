"""The Python API: class Spool, what an agent and every door of spool talk to."""

from __future__ import annotations

from spool.attending import Attending
from spool.history import History
from spool.mending import Mending
from spool.sending import Posted
from spool.waiting import Waiting

__all__ = ["Posted", "Spool"]


class Spool(Waiting, Mending, History, Attending):
    """A host's spool, for an agent.

    >>> spool = Spool(home)                               # or Spool(): $SPOOL_HOME, ~/.spool
    >>> id = spool.send("builder", subject="Tests", body="Please run them.", agent="reviewer")
    >>> for message in spool.receive(agent="builder"):
    ...     with message:                                 # done at the end of the block
    ...         print(message.sender, message.subject)
    reviewer Tests
    >>> spool.state(id)
    <State.DONE: 'done'>

    Args:
        home: the spool home; `$SPOOL_HOME`, else `~/.spool`.
        agent: who sends and reads; `$SPOOL_AGENT`, else the only one in the config.
        clock: for tests.

    Raises:
        NotInitialised: no home there.
        BadConfig: its spool.toml is wrong.
        StoreError: its database cannot be used.
    """
