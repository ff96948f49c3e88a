"""Breaks of what is said to whom, and when."""

from __future__ import annotations

from typing import Final

from tests.breaks.base import MACHINE, Break, Edit

_INBOX: Final = "spool/inbox.py"
_OUTBOX: Final = "spool/outbox.py"
_GATE: Final = "spool/gate.py"
_LINK: Final = "spool/transports/link.py"
_PROMISES: Final = "tests/machine/test_promises.py"

_ANSWERS_EARLY: Final = """\
        from spool import inbox

        told = []
        inbox.tell_early = lambda outcomes: told.append(self._answer_with(batch, outcomes))
        outcomes = self._gate.accept(arrivals)
        if not told:
            self._answer_with(batch, outcomes)

    def _answer_with(self, batch, outcomes):
"""

ANSWERS: Final = (
    Break(
        "ack-before-commit",
        "a crash undoes what the sender was told: the answers go out before the commit that they tell of",
        (
            Edit(
                _INBOX,
                "class Taken(NamedTuple):",
                "tell_early: Any = lambda outcomes: None\n\n\nclass Taken(NamedTuple):",
            ),
            Edit(
                _INBOX,
                "        # At commit the messages are ours.\n    taking.write_log()",
                "        tell_early(outcomes)\n    taking.write_log()",
            ),
            Edit(_LINK, "        outcomes = self._gate.accept(arrivals)\n", _ANSWERS_EARLY),
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "results-before-inbox",
        "every message is called received before anybody has looked at it",
        (
            Edit(
                _LINK,
                "        outcomes = self._gate.accept(arrivals)\n",
                "        for frame in batch:\n"
                '            all_well = [frames.Result("accepted", 1.0, True)] * len(frame.items)\n'
                "            self._send(frames.Results(frame.n, all_well))\n"
                "        self._gate.accept(arrivals)\n"
                "        return\n",
            ),
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "acks-forgotten-before-commit",
        "the hop that carried an ack forgets it before the next one has it on disk",
        (
            Edit(
                _LINK,
                "                self._gate.take_acks(acks)\n",
                "                self._send(frames.Results(n))\n                self._gate.take_acks(acks)\n",
            ),
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "relay-tells-nobody",
        "the sender of a relayed message learns what became of it an hour later, by asking",
        (Edit(_OUTBOX, "    if parcel.origin is None:\n", "    if parcel is not None:\n"),),
        (_PROMISES,),
    ),
    Break(
        "archived-ack-lost",
        "who reads a message after its sender's host has archived it has read it for nobody",
        (
            Edit(
                _OUTBOX,
                "        moved = tx.outbox.advance_archived(",
                "        moved = False and tx.outbox.advance_archived(",
            ),
        ),
        (MACHINE,),
    ),
    Break(
        "unknown-is-received",
        "a message that the far host has lost is never offered again",
        (
            Edit(
                _GATE,
                'return Answer(key.sender, key.id, "unknown")',
                'return Answer(key.sender, key.id, "received")',
            ),
        ),
        (MACHINE,),
    ),
    Break(
        "copies-are-errors",
        "a host that lost the answer and offers a message again is told that it is dead",
        (
            Edit(
                _INBOX,
                "        return Accepted(at=seen.at, final=seen.final, host=",
                '        return Refused("a copy of what is here")\n'
                "        return Accepted(at=1.0, final=True, host=",
            ),
        ),
        (_PROMISES, MACHINE),
    ),
    Break(
        "done-overwrites-rejected",
        "an agent rejects a message, another says done, and the sender is told the one and then the other",
        (
            Edit(
                "spool/store/sqlite_inbox.py",
                "\" note = ?3, lease_until = 0 WHERE seq = ?4 AND state IN ('unread', 'read')\"",
                '" note = ?3, lease_until = 0 WHERE seq = ?4"',
            ),
        ),
        ("tests/contract/test_store_inbox.py", MACHINE),
    ),
)
