"""The history checker: what must hold of everything that was gathered. Pure: facts in, a verdict out.

- `lost`: an id that was told to its sender, or stands in its outbox, is neither at the far side nor dead
  with a reason.
- `doubled`: a message that stands in two inboxes or twice in one, was stored twice, was done twice, was held
  by two receivers at once, or was published twice.
- `went back`: a state that a look, the events or a log saw after a later one.
- `false proof`: `received`, `read` or `done` that the far side does not bear out.
- `stuck`: something that has not come to its end.
- `altered`: a message that is not what its sender wrote. `made up`: one that nobody sent.
- `damaged`: a database or a quarantine that is not as it should be.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from spool.states import ORDER, State
from tests.soak.facts import Act, Facts, HostFacts, Key, Out
from tests.soak.history import History

# The name of its ledger.
BOX: Final = "box"
PROVEN: Final = ("received", "read", "done")
UNKNOWING: Final = "expired"
TIRED: Final = "given back 5 times"
SHOWN: Final = ("took", "reading")
LOG_ORDER: Final = {"queued": 0, "sent": 1, "relayed": 1, "received": 2, "read": 3, "done": 4}
ENDED_HERE: Final = ("dead", "expired", "cancelled")


class Violation(NamedTuple):
    """Something that was promised and did not hold."""

    kind: str
    id: str
    text: str


class Verdict(msgspec.Struct, frozen=True):
    """Counts for the table, and what did not hold."""

    counts: dict[str, int]
    reasons: dict[str, int]
    violations: list[Violation]


def check(facts: Facts) -> Verdict:
    """Look at everything once."""
    history = History(facts)
    rules: tuple[Callable[[History], Iterator[Violation]], ...] = (
        _whole,
        _none_lost,
        _none_doubled,
        _published_once,
        _held_by_one,
        _none_made_up,
        _proofs_are_true,
        _agents_did_it,
        _nothing_went_back,
        _nothing_stuck,
    )
    violations = [found for rule in rules for found in rule(history)]
    return Verdict(_counts(history), _reasons(history), violations)


# -- the rules ------------------------------------------------------------------------------------


def _whole(history: History) -> Iterator[Violation]:
    for host in history.facts.hosts:
        for text in host.integrity:
            yield Violation("damaged", "", f"{host.name}: {text}")
        for text in host.quarantine:
            yield Violation("damaged", "", f"{host.name} has in quarantine {text}")


def _none_lost(history: History) -> Iterator[Violation]:
    for act in history.sent.values():
        key = history.keys.get(act.id)
        if act.who == BOX:
            if key is None or key not in history.inn:
                yield Violation("lost", act.id, f"the files peer wrote it to {act.to}, and it is in no inbox")
        elif key is None or key not in history.own:
            yield Violation("lost", act.id, f"{act.who} was told that it was sent, and no outbox has it")
    for key, row in history.own.items():
        if row.state == "dead" and row.reason:
            continue
        if history.far_state(key, row.to) is None:
            yield Violation("lost", key.id, f"{row.state} at its sender, and not with {row.to}")


def _none_doubled(history: History) -> Iterator[Violation]:
    for name, key in history.own_twice:
        yield Violation("doubled", key.id, f"twice in the outbox and archive of {name}")
    for (name, key), times in Counter((name, row.key) for name, row in history.relayed).items():
        if times > 1:
            yield Violation("doubled", key.id, f"{times} outbox rows of it at {name}, which passes it on")
    for key, rows in history.inn.items():
        if len(rows) > 1:
            places = ", ".join(name for name, _ in rows)
            yield Violation("doubled", key.id, f"{len(rows)} inbox rows: {places}")
    for host in history.facts.hosts:
        stored = Counter(line.id for line in host.lines if line.verb == "stored")
        for id, times in stored.items():
            if times > 1:
                yield Violation("doubled", id, f"{host.name} took it for new {times} times")
    for id, times in Counter(act.id for act in history.acts["ended"]).items():
        if times > 1:
            yield Violation("doubled", id, f"done was committed for it {times} times")


def _published_once(history: History) -> Iterator[Violation]:
    for act in history.acts["twice"]:
        yield Violation("doubled", act.id, "published again after the files peer had put it away")
    for id in history.facts.box.inbox & history.facts.box.done:
        yield Violation("doubled", id, "in the inbox of the files peer, and put away there")


def _held_by_one(history: History) -> Iterator[Violation]:
    takes: defaultdict[str, list[Act]] = defaultdict(list)
    for act in sorted((*history.acts["took"], *history.acts["backing"]), key=lambda act: act.at):
        takes[act.id].append(act)
    for id, acts in takes.items():
        for before, after in itertools.pairwise(acts):
            # Noted down after it was taken, so never before the lease had ended.
            if before.what == after.what == "took" and after.at < before.until:
                soon_s = before.until - after.at
                text = f"{before.who} had it, and {after.who} was given it {soon_s:.1f} s too soon"
                yield Violation("doubled", id, text)


def _none_made_up(history: History) -> Iterator[Violation]:
    for key, rows in history.inn.items():
        row = history.own.get(key)
        for name, got in rows:
            if history.agents.get(got.agent) != name:
                yield Violation("made up", key.id, f"{name} has it for {got.agent}, who is not there")
            if row is not None and row.digest != got.digest:
                yield Violation("altered", key.id, f"{name} has other words than its sender")
            if row is None and key.id not in history.tried and key.id not in history.sent:
                yield Violation("made up", key.id, f"{name} has it from {key.sender}, who did not send it")


def _proofs_are_true(history: History) -> Iterator[Violation]:
    rows = [("its sender", row) for row in history.own.values()] + history.relayed
    for who, row in rows:
        if row.state not in PROVEN:
            continue
        far = history.far_state(row.key, row.to)
        if far is None:
            yield Violation(
                "false proof", row.key.id, f"{who} says {row.state}, and {row.to} does not have it"
            )
        elif _rank(row.state) > _rank(far):
            yield Violation("false proof", row.key.id, f"{who} says {row.state}, and it is {far}")
        elif row.state == "done" and (text := _other_outcome(history, row)):
            yield Violation("false proof", row.key.id, f"{who} says {row.outcome}: {text}")


def _other_outcome(history: History, row: Out) -> str:
    for name, got in history.inn.get(row.key, ()):
        if got.outcome != row.outcome:
            return f"{name} says {got.outcome}"
    return ""


def _agents_did_it(history: History) -> Iterator[Violation]:
    """What is read or done was read or done by somebody who noted it down before, or died before he could."""
    shown = {act.id for what in SHOWN for act in history.acts[what]}
    ending = {(act.id, act.more) for act in history.acts["ending"]}
    unsaid: defaultdict[str, list[str]] = defaultdict(list)
    for key, rows in history.inn.items():
        for name, got in rows:
            if got.state != "unread" and key.id not in shown:
                unsaid[name].append(key.id)
            tired = got.outcome == "rejected" and got.note == TIRED and got.attempts > 5
            if got.state == "done" and not tired and (key.id, got.outcome) not in ending:
                yield Violation("false proof", key.id, f"{got.outcome} at {name}, and nobody there did that")
    for name, ids in unsaid.items():
        may = sum(
            count for part, count in history.facts.deaths.items() if part.startswith(f"{name} receiver")
        )
        may += sum(act.who.startswith(f"{name}-receiver") for act in history.acts["trouble"])
        for id in ids[may:]:
            yield Violation("false proof", id, f"read at {name}, and nobody was shown it")


def _nothing_went_back(history: History) -> Iterator[Violation]:
    for step in history.facts.steps:
        yield Violation("went back", step.key.id, f"{step.before}, then {step.after} at {step.host}")
    for host in history.facts.hosts:
        last: dict[Key, str] = {}
        for told in host.told:
            before = last.get(told.key)
            if "dead" not in (before or "dead", told.state) and _rank(told.state) < _rank(before or ""):
                text = f"{before}, then {told.state} in the events of {host.name}"
                yield Violation("went back", told.key.id, text)
            last[told.key] = told.state
        yield from _log_goes_forward(host)


def _rank(state: str) -> int:
    return ORDER[State(state)]


def _log_goes_forward(host: HostFacts) -> Iterator[Violation]:
    # One process writes its lines in the order of its commits; two of them may be told in another order.
    last: dict[tuple[str, int], str] = {}
    for line in host.lines:
        if line.verb not in LOG_ORDER and line.verb not in ENDED_HERE:
            continue
        before = last.get((line.id, line.pid))
        if before in LOG_ORDER:
            later = LOG_ORDER.get(line.verb)
            back = before in PROVEN if later is None else later < LOG_ORDER[before]
            if back:
                yield Violation("went back", line.id, f"{before}, then {line.verb} in the log of {host.name}")
        last[line.id, line.pid] = line.verb


def _nothing_stuck(history: History) -> Iterator[Violation]:
    for host in history.facts.hosts:
        for key, status in host.acks:
            yield Violation("stuck", key.id, f"{host.name} still has an ack of it: {status}")
        for row in host.out:
            yield from _stuck(history, host.name, row)
        for got in host.inn:
            if got.state not in ("done", "dead"):
                yield Violation("stuck", got.key.id, f"{got.state} at {host.name}")
    for id in history.facts.box.inbox | history.facts.box.outbox:
        yield Violation("stuck", id, "still in a folder of the files peer")


def _stuck(history: History, name: str, row: Out) -> Iterator[Violation]:
    far = history.far_state(row.key, row.to)
    if row.waits or row.state in ("queued", "sent"):
        yield Violation("stuck", row.key.id, f"{row.state} at {name}")
    elif row.state == "dead" and not row.reason:
        yield Violation("stuck", row.key.id, f"dead at {name} without a reason")
    elif row.state == "dead" and far is not None and not _unknowing(row, far):
        yield Violation("stuck", row.key.id, f"dead at {name} ({row.reason}), and {far} with {row.to}")
    elif row.state in PROVEN and far in PROVEN and row.state != far:
        yield Violation("stuck", row.key.id, f"{row.state} at {name}, and {far} with {row.to}")


def _unknowing(row: Out, far: str) -> bool:
    """Whether it ended here as the answer that it had arrived was lost, and no agent there spoke of it."""
    return far == "received" and (row.reason or "").startswith(UNKNOWING)


# -- the counts -----------------------------------------------------------------------------------


def _counts(history: History) -> dict[str, int]:
    facts = history.facts
    outcomes = Counter(row.outcome for rows in history.inn.values() for _, row in rows if row.state == "done")
    events = sum((Counter(host.events) for host in facts.hosts), Counter())
    return {
        "ids told to a sender": len(history.sent),
        "messages in their senders' outboxes": len(history.own),
        "of them sent by somebody killed before he was told": sum(
            key.id not in history.sent for key in history.own
        ),
        "written by the files peer": sum(act.who == BOX for act in history.sent.values()),
        "in the inboxes of their agents": len(history.inn),
        "at the files peer": len(history.at_box),
        "passed on by a relay": len(history.relayed),
        "read": sum(row.state != "unread" for rows in history.inn.values() for _, row in rows),
        "done": outcomes["done"],
        "rejected": outcomes["rejected"],
        "done as their senders know": sum(row.state == "done" for row in history.own.values()),
        "received as their senders know, no more": sum(
            row.state == "received" for row in history.own.values()
        ),
        "dead, with a reason": sum(row.state == "dead" for row in history.own.values()),
        "of them there all the same, the answer lost": sum(
            row.state == "dead" and history.far_state(row.key, row.to) is not None
            for row in history.own.values()
        ),
        "offered more than once": sum(row.attempts > 1 for host in facts.hosts for row in host.out),
        "copies absorbed": events["message.duplicate"],
        "deferred": events["message.deferred"],
        "links that came up": events["link.up"],
        "given back by receivers": len(history.acts["backing"]),
        "sends and receipts that met trouble": len(history.acts["trouble"]),
        "lines of logs read": sum(events.values()),
        "lines of ledgers read": len(facts.acts),
    }


def _reasons(history: History) -> dict[str, int]:
    dead = (row for row in history.own.values() if row.state == "dead")
    return dict(Counter(row.reason or "none" for row in dead))
