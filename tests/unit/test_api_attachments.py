"""Files beside messages, from Python: sent, received, answered with, tried again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import inbox
from spool.api import Spool
from spool.attachments import WHOLE_S
from spool.errors import BadConfig, BadInput, BadMessage, NoRoute, NotFound, SecretFound
from spool.folder import Folder, Part
from spool.freight import Freight
from spool.message import MAX_ATTACHMENTS, Attachment, seal
from spool.outbox import settle
from spool.settings import Settings
from spool.states import State
from spool.store.base import Parcel
from spool.transports.base import Accepted, Deferred, Outcome
from tests.desk import Turned, clocked, make_home
from tests.rows import lease, link


@pytest.fixture
def now() -> Turned:
    return Turned()


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with one agent and two peers."""
    with clocked(make_home(tmp_path, "me"), now) as made:
        yield made


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"a report")
    return path


def of(content: bytes, name: str = "data.bin") -> dict[str, Any]:
    """What a message says of a file."""
    return {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def place(spool: Spool, content: bytes) -> None:
    """A file that a link has brought."""
    Folder(spool.home).make()
    Folder(spool.home).path(hashlib.sha256(content).hexdigest()).write_bytes(content)


def arrive(spool: Spool, *, attached: bool = True, hops: tuple[str, ...] = (), **fields: Any) -> Outcome:
    """A message from the peer `cloud` comes in."""
    given = {"from": "cloud-1", "to": "me", "subject": "Hello", **fields}
    sealed = seal(given, id="msg-in", timestamp="2025-11-13T10:30:45Z")
    arrival = inbox.Arrival(sealed.raw, sealed.filled, ttl_s=86_400.0, hops=hops, attached=attached)
    taken = inbox.accept(
        spool.store,
        spool.config,
        spool._router(),
        spool.config.peer("cloud"),
        [arrival],
        now=spool._clock.now(),
        folder=Folder(spool.home),
    )
    return taken.outcomes[0]


def leased(spool: Spool, peer: str = "cloud") -> list[Parcel]:
    generation = link(spool.store, peer)
    return lease(spool.store, peer=peer, now=spool._clock.now(), generation=generation)


def freight(spool: Spool, peer: str = "cloud") -> Freight:
    """The files of a peer, as its link sees them."""
    return Freight(spool.store, Settings(spool.home, spool.store, spool._clock), peer, spool._clock)


def there(spool: Spool, content: bytes, peer: str = "cloud") -> None:
    freight(spool, peer).there(hashlib.sha256(content).hexdigest())


# -- sending ----------------------------------------------------------------------------------


def test_a_message_names_its_files(spool: Spool, report: Path) -> None:
    """In a field of its own that counts in its hash; the file is in the home before the message is."""
    id = spool.send("cloud-1", subject="Look", attach=[report, str(report)])
    row = spool.sent(id)

    assert msgspec.json.decode(row.raw)["attachments"] == [of(b"a report", "report.pdf")] * 2
    assert Folder(spool.home).path(of(b"a report")["sha256"]).read_bytes() == b"a report"
    plain = spool.sent(spool.send("cloud-1", subject="Look"))
    assert row.digest != plain.digest


def test_it_waits_for_its_files_and_other_mail_does_not(spool: Spool, report: Path) -> None:
    """Only once the next hop has them is it handed over."""
    id = spool.send("cloud-1", subject="Look", attach=[report], priority="P0")
    other = spool.send("cloud-1", subject="beside")
    assert [parcel.id for parcel in leased(spool)] == [other]

    there(spool, b"a report")
    assert id in [parcel.id for parcel in leased(spool)]


def test_the_same_call_again_sends_nothing(spool: Spool, report: Path) -> None:
    """A caller that does not know whether `send` returned repeats it, files and all."""
    for _ in range(2):
        assert spool.send("cloud-1", id="mine", subject="Look", attach=[report]) == "mine"
    report.write_bytes(b"another one")
    with pytest.raises(BadInput, match="other content"):
        spool.send("cloud-1", id="mine", subject="Look", attach=[report])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"to": "cloud-1", "subject": ""}, BadMessage),
        ({"to": "nobody", "subject": "Look"}, NoRoute),
        ({"to": "cloud-1", "subject": "AKIA" + "ABCDEFGHIJKLMNOP"}, SecretFound),
        ({"to": "cloud-1", "subject": "Look", "extra": {"attachments": [of(b"x")]}}, BadMessage),
    ],
)
def test_nothing_is_copied_for_a_message_that_is_refused(
    spool: Spool, report: Path, given: dict[str, Any], error: type[Exception]
) -> None:
    """A gigabyte first, and only then a word about the address, would be a waste."""
    with pytest.raises(error):
        spool.send(**given, attach=[report])
    assert Folder(spool.home).found() == {}


def test_a_file_that_is_none_sends_nothing(spool: Spool, report: Path, tmp_path: Path) -> None:
    """All or none."""
    with pytest.raises(BadInput, match=r"missing\.txt: No such file"):
        spool.send("cloud-1", subject="Look", attach=[report, tmp_path / "missing.txt"])
    assert spool.outbox() == []
    with pytest.raises(BadMessage, match="the limit is 64"):
        spool.send("cloud-1", subject="Look", attach=[report] * (MAX_ATTACHMENTS + 1))


def test_a_message_may_pass_on_a_file_that_is_here(spool: Spool) -> None:
    """By naming it as it was named; one that is not here is refused, and says how to attach it."""
    place(spool, b"content")
    id = spool.send("cloud-1", subject="Look", extra={"attachments": [of(b"content")]})
    assert leased(spool) == []
    there(spool, b"content")
    assert [parcel.id for parcel in leased(spool)] == [id]
    with pytest.raises(BadMessage, match=r"'data\.bin' is no file of 5 bytes that this host keeps") as caught:
        spool.send("cloud-1", subject="Look", extra={"attachments": [of(b"other")]})
    assert "--attach" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    [
        "a list of two",
        ["report.pdf"],
        [{"name": "report.pdf"}],
        [{**of(b"x"), "sha256": "../../etc/passwd"}],
        [{**of(b"x"), "sha256": "A" * 64}],
        [{**of(b"x"), "bytes": -1}],
        [{**of(b"x"), "bytes": "1"}],
        [{**of(b"x"), "name": ""}],
        [of(b"x")] * (MAX_ATTACHMENTS + 1),
        {},
        7,
    ],
)
def test_what_means_something_else_by_that_name_carries_nothing(spool: Spool, value: Any) -> None:
    """It is a field of the sender's own: it travels as it is, and waits for no file."""
    id = spool.send("cloud-1", subject="Look", extra={"attachments": value})
    (parcel,) = leased(spool)
    assert msgspec.json.decode(parcel.raw)["attachments"] == value
    assert (parcel.id, parcel.attached) == (id, False)


def test_a_local_reader_has_the_file_at_once(spool: Spool, report: Path) -> None:
    """Between two agents of one host nothing travels."""
    spool.send("me", subject="Look", attach=[report])
    (delivery,) = spool.receive(agent="me")
    with delivery:
        (path,) = delivery.attachments
        assert path.read_bytes() == b"a report"
        assert delivery.message.attachments == (Attachment(**of(b"a report", "report.pdf")),)


# -- receiving --------------------------------------------------------------------------------


def test_a_message_is_taken_once_its_files_are_here(spool: Spool) -> None:
    """Deferred before: the sender's host brings them first and tries again."""
    named = [of(b"one"), of(b"two")]
    place(spool, b"one")
    assert arrive(spool, attachments=named) == Deferred("its attachments are not here yet")
    assert spool.inbox() == []

    place(spool, b"two")
    assert isinstance(arrive(spool, attachments=named), Accepted)
    (delivery,) = spool.receive()
    assert [path.read_bytes() for path in delivery.attachments] == [b"one", b"two"]


def test_a_file_of_another_size_is_not_the_one(spool: Spool) -> None:
    """What a message says of its file must be so."""
    place(spool, b"one")
    wrong = {**of(b"one"), "bytes": 4}
    assert isinstance(arrive(spool, attachments=[wrong]), Deferred)


def test_files_that_were_not_brought_are_only_named(spool: Spool) -> None:
    """A peer that knows nothing of attachments hands over what looks like one: it is not waited for."""
    assert isinstance(arrive(spool, attached=False, attachments=[of(b"one")]), Accepted)
    (delivery,) = spool.receive()
    with pytest.raises(NotFound, match="is not on this host"):
        _ = delivery.attachments


def test_a_copy_is_known_again_although_its_file_is_gone(spool: Spool) -> None:
    """The answer to the first may have been lost; the message is here."""
    place(spool, b"one")
    assert isinstance(arrive(spool, attachments=[of(b"one")]), Accepted)
    Folder(spool.home).remove(of(b"one")["sha256"])
    again = arrive(spool, attachments=[of(b"one")])
    assert isinstance(again, Accepted) and again.again


def test_a_relay_hands_on_the_files_first(spool: Spool) -> None:
    """The same rule hop by hop."""
    place(spool, b"one")
    assert isinstance(arrive(spool, to="desk-1", hops=("cloud",), attachments=[of(b"one")]), Accepted)
    assert leased(spool, "desk") == []
    there(spool, b"one", "desk")
    (parcel,) = leased(spool, "desk")
    assert parcel.attached


def test_a_relay_does_not_wait_for_files_that_nobody_brought(spool: Spool) -> None:
    """It could wait for ever."""
    arrive(spool, attached=False, to="desk-1", hops=("cloud",), attachments=[of(b"one")])
    (parcel,) = leased(spool, "desk")
    assert not parcel.attached


# -- what comes of it -------------------------------------------------------------------------


def test_files_are_brought_again_where_the_message_was_deferred(spool: Spool, report: Path) -> None:
    """They may be gone there: its host forgot them, or somebody did."""
    spool.send("cloud-1", subject="Look", attach=[report])
    there(spool, b"a report")
    (parcel,) = leased(spool)
    settle(spool.store, "cloud", "here", [(parcel, Deferred("its attachments are not here yet"))], now=1.0)

    assert [file.sha256 for file in freight(spool).due()] == [of(b"a report")["sha256"]]


def test_a_file_that_cannot_be_brought_ends_its_message(spool: Spool, report: Path) -> None:
    """With the reason, at once, and only messages for that peer."""
    id = spool.send("cloud-1", subject="Look", attach=[report])
    other = spool.send("desk-1", subject="Look", attach=[report])
    sha256 = of(b"a report")["sha256"]
    freight(spool).refuse(sha256, "too large there")

    assert (spool.sent(id).state, spool.sent(id).reason) == (State.DEAD, "too large there")
    assert spool.state(other) is State.QUEUED


def test_a_file_that_arrives_damaged_is_tried_three_times(spool: Spool, report: Path) -> None:
    """Not for ever: each time costs all of it."""
    id = spool.send("cloud-1", subject="Look", attach=[report])
    sha256 = of(b"a report")["sha256"]
    tries = [freight(spool).damaged(sha256) for _ in range(3)]

    assert tries == [True, True, False]
    assert "damaged 3 times" in str(spool.sent(id).reason)


def test_a_deferred_file_holds_its_message_back_with_the_reason(
    spool: Spool, report: Path, now: Turned
) -> None:
    """Later each time; who asks sees why."""
    id = spool.send("cloud-1", subject="Look", attach=[report])
    sha256 = of(b"a report")["sha256"]
    freight(spool).defer(sha256, "no room there")

    row = spool.sent(id)
    assert (row.state, row.reason, row.attempts) == (State.QUEUED, "no room there", 1)
    assert row.due is not None and row.due > now.at
    assert freight(spool).due() == []
    now.at = row.due
    assert len(freight(spool).due()) == 1


def test_a_relayed_messages_sender_is_told_of_its_end(spool: Spool) -> None:
    """The host it came from cannot know otherwise."""
    place(spool, b"one")
    arrive(spool, to="desk-1", hops=("cloud",), attachments=[of(b"one")])
    freight(spool, "desk").refuse(of(b"one")["sha256"], "never")
    with spool.store.read() as tx:
        assert tx.acks.waiting() == {"cloud": 1}


def test_a_dead_message_is_tried_again_with_its_files(spool: Spool, report: Path) -> None:
    """They are offered anew: the next hop may have dropped them."""
    id = spool.send("cloud-1", subject="Look", attach=[report])
    there(spool, b"a report")
    spool.cancel(id)
    spool.retry_dead(id)

    assert leased(spool) == []
    assert len(freight(spool).due()) == 1


def test_a_dead_message_without_its_files_stays_dead(spool: Spool, report: Path, now: Turned) -> None:
    """Nothing holds the files of what is dead; it says what to do instead."""
    id = spool.send("cloud-1", subject="Look", attach=[report])
    spool.cancel(id)
    now.at += WHOLE_S + 1
    spool.archive(older_than_s=86_400.0)
    with pytest.raises(BadInput, match=r"'report\.pdf' is not on this host any more") as caught:
        spool.retry_dead(id)
    assert "--attach" in caught.value.hint
    assert spool.state(id) is State.DEAD


def test_an_answer_may_bring_files(spool: Spool, report: Path) -> None:
    """From the API and from within the block that reads."""
    arrive(spool, attached=False)
    (delivery,) = spool.receive()
    with delivery:
        id = delivery.reply("Here it is", attach=[report], keep_open=True)
        posted = spool.post_reply("msg-in", "And again", attach=[report])
    for each in (id, posted.id):
        assert msgspec.json.decode(spool.sent(each).raw)["attachments"] == [of(b"a report", "report.pdf")]
    assert len(posted.attachments) == 1


def test_two_homes_do_not_share_files(spool: Spool, report: Path) -> None:
    """What is kept is kept for its owner alone."""
    spool.send("me", subject="Look", attach=[report])
    assert (spool.home / "attachments").stat().st_mode & 0o077 == 0
    assert os.stat(Folder(spool.home).path(of(b"a report")["sha256"])).st_mode & 0o077 == 0


def test_a_disk_that_fills_up_on_the_way_puts_a_file_off(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left below the mark is for mail; a part that goes on counts as wanted."""
    part = freight(spool).offered(Attachment("x", 1000, "a" * 64))
    assert isinstance(part, Part)
    assert freight(spool).has_room(part)
    low = spool.config.host.low_water_mb * 1024 * 1024
    monkeypatch.setattr("spool.store.sqlite.SqliteStore.free_bytes", lambda self: low - 1)
    assert not freight(spool).has_room(part)
    part.close()


def test_the_room_is_no_negative_number(tmp_path: Path) -> None:
    """It says which key, and what may stand there."""
    with pytest.raises(BadConfig, match=r"\[host\] attachments_mb: 0 \(take none\) or more"):
        Spool(make_home(tmp_path / "other", "me", host="attachments_mb = -1"))
