"""Two agents on two hosts: a question and its answer, a notice, and mail that nobody could ever read.

.venv/bin/python examples/two_agents.py
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from stage import two_homes

from spool import Spool, SpoolError, State

PATIENCE_S = 30.0


def main() -> int:
    """The agent on the laptop; the other one works beside it, as it would on its own host."""
    with two_homes(near="claude-local", far="claude-cloud") as (laptop, cloud):
        other = threading.Thread(target=work, args=(cloud,))
        other.start()
        try:
            with Spool(laptop, agent="claude-local") as spool:
                talk(spool)
        except SpoolError as exc:
            print(f"claude-local: {exc.message}; {exc.hint}", file=sys.stderr)
            return 1
        finally:
            other.join()
    return 0


def talk(spool: Spool) -> None:
    """Ask, tell, and write to the wrong name."""
    answer = spool.request(
        "claude-cloud", subject="How long is this word?", body="durability", timeout=PATIENCE_S
    )
    print(f"claude-local: {answer.sender} answers {answer.body!r}")

    id = spool.send("claude-cloud", subject="That was all", type="goodbye")
    print("claude-local: goodbye is on this disk; it is", spool.state(id))
    row = spool.wait_for_state(id, State.DONE, timeout=PATIENCE_S)
    print(f"claude-local: goodbye is {row.state} on {row.far_host}")

    try:
        spool.send("claude-clowd", subject="Anybody?")
    except SpoolError as exc:
        # Nothing was stored: an address that nobody has is refused at once.
        print(f"claude-local: refused: {exc.message}")


def work(home: Path) -> None:
    """The agent on the cloud host: answers what asks, until it is told goodbye."""
    with Spool(home, agent="claude-cloud") as spool:
        for message in spool.receive(timeout=PATIENCE_S):
            # The end of the block says done; an exception in it gives the message back.
            with message:
                print(f"claude-cloud: {message.sender} writes {message.subject!r}")
                if message.requires_response:
                    message.reply(str(len(message.body)))
            if message.type == "goodbye":
                return


if __name__ == "__main__":
    sys.exit(main())
