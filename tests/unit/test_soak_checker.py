"""The history checker of the soak finds each kind of violation, planted by hand in a good history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.soak import ledger
from tests.soak.checker import check
from tests.soak.facts import Act, BoxFacts, Facts, HostFacts, In, Key, Line, Out, Step, Told
from tests.soak.ledger import Ledger
from tests.soak.watching import back, held_back

ONE = Key("ada", "one")  # from ash to oak, done
TWO = Key("ada", "two")  # from ash by way of oak to the files peer, done
LATE = Key("ada", "late")  # from ash, expired
FILE = Key("bot", "file")  # from the files peer by way of oak to ash, rejected


def out(key: Key, to: str, state: str = "done", **more: object) -> Out:
    """A row of an outbox at rest."""
    row = Out(key, to, state, "oak", None, False, 1, None, "done" if state == "done" else None, "oak", b"1")
    return row._replace(**more)


def inn(key: Key, agent: str, outcome: str = "done") -> In:
    """A row of an inbox that its agent has done with."""
    return In(key, agent, "done", 1, outcome, None, b"1")


def acts(who: str, id: str, *whats: str, more: str = "", at: float = 10.0) -> list[Act]:
    """Lines of a ledger, one after the other."""
    return [Act(at + n, 1, who, what, id, more=more) for n, what in enumerate(whats)]


def good() -> Facts:
    """A soak in which all went well."""
    took = ("took", "ending", "ended")
    return Facts(
        hosts=[
            HostFacts(
                name="ash",
                agents=frozenset(["ada"]),
                out=[
                    out(ONE, "oda"),
                    out(TWO, "bot"),
                    out(LATE, "oda", "dead", reason="expired before it could be delivered", outcome=None),
                ],
                inn=[inn(FILE, "ada", "rejected")],
                told=[Told(ONE, "queued", "deferred"), Told(LATE, "queued", "expired")],
                lines=[Line("one", verb, 7) for verb in ("queued", "sent", "received", "read", "done")],
            ),
            HostFacts(
                name="oak",
                agents=frozenset(["oda"]),
                out=[
                    out(TWO, "bot", peer="box", origin="ash"),
                    out(FILE, "ada", peer="ash", origin="box", outcome="rejected"),
                ],
                inn=[inn(ONE, "oda")],
                lines=[Line("one", "stored", 8)],
            ),
        ],
        box=BoxFacts(agent="bot", done=frozenset(["two"])),
        acts=[
            *acts("ash-sender-0", "one", "trying", "sent"),
            *acts("ash-sender-0", "two", "sent"),
            *acts("ash-sender-0", "late", "sent"),
            *acts("oak-receiver-0", "one", *took, more="done"),
            *acts("box", "two", "saw", "acking", "filed"),
            *acts("box", "file", "writing", "sent"),
            *acts("ash-receiver-0", "file", *took, more="rejected"),
        ],
    )


def host(facts: Facts, number: int, **changed: object) -> Facts:
    """The same, with other facts of one host."""
    hosts = list(facts.hosts)
    hosts[number] = msgspec.structs.replace(hosts[number], **changed)
    return msgspec.structs.replace(facts, hosts=hosts)


def more_acts(facts: Facts, *added: Act) -> Facts:
    """The same, with more lines in the ledgers."""
    return msgspec.structs.replace(facts, acts=[*facts.acts, *added])


def without(facts: Facts, *whats: str) -> Facts:
    """The same, without some lines of the ledgers."""
    return msgspec.structs.replace(facts, acts=[act for act in facts.acts if act.what not in whats])


def ash(facts: Facts) -> HostFacts:
    """The first host."""
    return facts.hosts[0]


def test_a_good_history_passes() -> None:
    """A checker that cries at everything is switched off."""
    verdict = check(good())

    assert verdict.violations == []
    assert verdict.counts["ids told to a sender"] == 4
    assert verdict.reasons == {"expired before it could be delivered": 1}


def _row(facts: Facts, number: int, row: Out) -> Facts:
    rows = [row if each.key == row.key else each for each in facts.hosts[number].out]
    return host(facts, number, out=rows)


def _taken_before(until: float, *between: str) -> Callable[[Facts], Facts]:
    """Somebody else had it under a lease until then; it was taken for good at 10."""

    def plant(facts: Facts) -> Facts:
        first = Act(4.0, 1, "oak-receiver-1", "took", "one", until=until)
        return more_acts(facts, first, *acts("oak-receiver-1", "one", *between, at=5.0))

    return plant


PLANTED: dict[str, tuple[str, Callable[[Facts], Facts]]] = {
    "told, and in no outbox": (
        "lost",
        lambda facts: more_acts(facts, Act(1.0, 1, "ash-sender-1", "sent", "gone")),
    ),
    "in no inbox": ("lost", lambda facts: host(facts, 1, inn=[])),
    "dead without a reason": ("lost", lambda facts: _row(facts, 0, out(LATE, "oda", "dead", reason=None))),
    "not at the files peer": (
        "lost",
        lambda facts: without(msgspec.structs.replace(facts, box=BoxFacts(agent="bot")), "acking"),
    ),
    "written by the files peer and gone": ("lost", lambda facts: host(facts, 0, inn=[])),
    "two inbox rows": ("doubled", lambda facts: host(facts, 1, inn=[inn(ONE, "oda"), inn(ONE, "oda")])),
    "two outbox rows": ("doubled", lambda facts: host(facts, 0, out=[*ash(facts).out, out(ONE, "oda")])),
    "two rows at a relay": (
        "doubled",
        lambda facts: host(facts, 1, out=[*facts.hosts[1].out, facts.hosts[1].out[0]]),
    ),
    "stored twice": (
        "doubled",
        lambda facts: host(facts, 1, lines=[Line("one", "stored", 8), Line("one", "stored", 9)]),
    ),
    "done twice": ("doubled", lambda facts: more_acts(facts, *acts("oak-receiver-1", "one", "ended"))),
    "held by two": ("doubled", _taken_before(10.5)),
    "published twice": ("doubled", lambda facts: more_acts(facts, *acts("box", "two", "twice"))),
    "published and put away": (
        "doubled",
        lambda facts: msgspec.structs.replace(
            facts, box=BoxFacts(agent="bot", done=frozenset(["two"]), inbox=frozenset(["two"]))
        ),
    ),
    "a look saw it go back": (
        "went back",
        lambda facts: msgspec.structs.replace(facts, steps=[Step("ash", ONE, "read", "received")]),
    ),
    "its events go back": (
        "went back",
        lambda facts: host(facts, 0, told=[Told(ONE, "sent", "asked"), Told(ONE, "queued", "deferred")]),
    ),
    "the log goes back": (
        "went back",
        lambda facts: host(facts, 0, lines=[Line("one", "done", 7), Line("one", "read", 7)]),
    ),
    "dead after a proof": (
        "went back",
        lambda facts: host(facts, 0, lines=[Line("one", "read", 7), Line("one", "expired", 7)]),
    ),
    "received, and not there": (
        "false proof",
        lambda facts: host(_row(facts, 0, out(ONE, "oda", "received")), 1, inn=[]),
    ),
    "done, and only read": (
        "false proof",
        lambda facts: host(facts, 1, inn=[inn(ONE, "oda")._replace(state="read", outcome=None)]),
    ),
    "done at a relay, and not there": (
        "false proof",
        lambda facts: without(msgspec.structs.replace(facts, box=BoxFacts(agent="bot")), "acking"),
    ),
    "another outcome": ("false proof", lambda facts: _row(facts, 0, out(ONE, "oda", outcome="rejected"))),
    "done, and nobody did that": ("false proof", lambda facts: without(facts, "ending")),
    "read, and shown to nobody": ("false proof", lambda facts: without(facts, "took")),
    "never acknowledged at the files peer": ("false proof", lambda facts: without(facts, "acking")),
    "still queued": ("stuck", lambda facts: _row(facts, 0, out(ONE, "oda", "queued", waits=True))),
    "an ack that was lost": ("stuck", lambda facts: _row(facts, 0, out(ONE, "oda", "received"))),
    "an ack that is left": ("stuck", lambda facts: host(facts, 1, acks=[(ONE, "done")])),
    "dead here and done there": ("stuck", lambda facts: _row(facts, 0, out(ONE, "oda", "dead", reason="x"))),
    "never done": (
        "stuck",
        lambda facts: host(facts, 1, inn=[inn(ONE, "oda")._replace(state="unread", outcome=None)]),
    ),
    "a file that is left": (
        "stuck",
        lambda facts: msgspec.structs.replace(
            facts, box=BoxFacts(agent="bot", done=frozenset(["two"]), outbox=frozenset(["ack-two"]))
        ),
    ),
    "other words": ("altered", lambda facts: host(facts, 1, inn=[inn(ONE, "oda")._replace(digest=b"2")])),
    "sent by nobody": (
        "made up",
        lambda facts: host(facts, 1, inn=[inn(ONE, "oda"), inn(Key("x", "y"), "oda")]),
    ),
    "with the wrong host": ("made up", lambda facts: host(facts, 1, inn=[inn(ONE, "ada")])),
    "a damaged database": ("damaged", lambda facts: host(facts, 0, integrity=["row 1 missing from index"])),
    "something in quarantine": ("damaged", lambda facts: host(facts, 0, quarantine=["one: too large"])),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_each_kind_of_violation_is_found(planted: str) -> None:
    """A soak that cannot fail shows nothing."""
    kind, plant = PLANTED[planted]

    assert kind in {found.kind for found in check(plant(good())).violations}


@pytest.mark.parametrize(
    "plant",
    [_taken_before(9.9), _taken_before(304.0, "backing")],
    ids=["lease over", "given back"],
)
def test_a_message_may_be_taken_again(plant: Callable[[Facts], Facts]) -> None:
    """Where its lease ran out, or its reader gave it back."""
    assert check(plant(good())).violations == []


def test_what_expired_while_its_answer_was_lost_is_counted() -> None:
    """A limit that is written down, and only where no agent there has spoken of it."""
    late = out(LATE, "bot", "dead", reason="expired: box was being handed it", outcome=None)
    facts = _row(good(), 0, late)
    box = msgspec.structs.replace(facts.box, done=frozenset(["two", "late"]))
    arrived = msgspec.structs.replace(facts, box=box)

    assert check(arrived).violations == []
    assert check(arrived).counts["of them there all the same, the answer lost"] == 1
    spoken_of = more_acts(arrived, *acts("box", "late", "acking"))
    assert "stuck" in {found.kind for found in check(spoken_of).violations}


def test_who_died_before_he_noted_it_down_is_believed() -> None:
    """A receiver that is killed between the commit and its ledger: one message for each death, no more."""
    facts = host(without(good(), "took"), 0, inn=[inn(FILE, "ada", "rejected")])
    deaths = {"oak receiver 0": 1, "ash receiver 1": 1}

    assert check(msgspec.structs.replace(facts, deaths=deaths)).violations == []


def test_a_look_finds_what_went_back_and_what_went_away() -> None:
    """The rows at the end may be right again: only who looked meanwhile knows."""
    before = {ONE: "read", TWO: "dead", LATE: "queued"}

    assert back(before, {ONE: "done", TWO: "received", LATE: "dead"}) == []
    assert back(before, {ONE: "dead", TWO: "queued"}) == [
        (ONE, "read", "dead"),
        (TWO, "dead", "queued"),
        (LATE, "queued", "gone"),
    ]
    assert held_back({ONE: "read", TWO: "done"}, {ONE: "unread"}) == [
        (ONE, "read", "unread"),
        (TWO, "done", "gone"),
    ]


def test_a_ledger_survives_a_torn_line(tmp_path: Path) -> None:
    """A kill cuts a line short: it is not told, and the next life's first line is whole."""
    path = tmp_path / "ash-sender-0.jsonl"
    Ledger(path).note("sent", ["one", "two"], to="oda")
    path.write_bytes(path.read_bytes()[:-5])

    Ledger(path).note("sent", ["three"])

    assert [act.id for act in ledger.read(path)] == ["one", "three"]
