"""The exchange with an HTTPS peer: what its answers make of mail that was posted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import web_secret
from spool.api import Spool
from spool.clock import Clock
from spool.config import Peer
from spool.errors import BadMessage, LinkError, LinkLost, NoSpoolThere
from spool.outbox import MAX_NOTE
from spool.settings import Settings
from spool.states import State
from spool.transports.http import Webhook
from spool.transports.http_call import HttpCall
from spool.web_gate import WebGate
from tests.desk import arrive, make_home
from tests.waiting import soon
from tests.web_answers import Answers, answer

GREETING = json.dumps({"hello": {"f": "hello", "host": "cloud", "spool": "1", "clock": 1.0}}).encode()
Tell = Callable[[str, bytes], bytes]


class Dialled:
    """A home whose peer `cloud` is answered for by `tell`; hello is answered already."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.server = Answers(lambda path, body: self._told(tell, path, body))
        secret = folder / "cloud.secret"
        web_secret.make(secret)
        url = f"http://127.0.0.1:{self.server.port}/chat"
        peers = f'[peers.cloud]\nurl = "{url}"\nagents = ["cloud-*"]\nsecret_file = "{secret}"\n'
        self.home = make_home(folder, "me", peers=peers)
        self.spool = Spool(self.home, agent="me")
        clock = Clock(time.time, time.monotonic)
        settings = Settings(self.home, self.spool.store, clock)
        gate = WebGate(self.spool.store, settings, "cloud", clock=clock, token="t", version="0")
        peer = settings.config.peer("cloud")
        call = HttpCall(
            peer,
            web_secret.of(peer, self.home),
            as_name="here",
            version="0",
            now=time.time,
            monotonic=time.monotonic,
        )
        self.exchange = Webhook(call, gate)
        self.error: LinkError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to exchange."""
        self._thread.start()

    def ended(self) -> LinkError | None:
        """Wait for its own end; why it ended."""
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.error

    def batches(self) -> list[dict[str, Any]]:
        """What was posted so far, beside questions."""
        posted = [json.loads(body) for path, body in self.server.asked if path == "/chat/batch"]
        return [each for each in posted if each.get("messages") or each.get("acks")]

    def close(self) -> None:
        """End it."""
        self.exchange.end()
        if self._thread.ident is not None:
            self._thread.join(10)
        self.server.close()
        self.spool.close()

    def _run(self) -> None:
        try:
            self.exchange.run()
        except LinkError as exc:
            self.error = exc

    def _told(self, tell: Tell, path: str, body: bytes) -> bytes:
        if path == "/chat/hello":
            return answer(200, GREETING)
        if not (posted := json.loads(body)).get("messages") and not posted.get("acks"):
            return answer(200, b'{"host":"cloud"}')
        return tell(path, body)


@pytest.fixture
def dialled(tmp_path: Path) -> Iterator[Callable[[Tell], Dialled]]:
    """Makes one; ended at the end."""
    made: list[Dialled] = []

    def make(tell: Tell) -> Dialled:
        made.append(Dialled(tmp_path, tell))
        return made[-1]

    yield make
    for each in made:
        each.close()


def accepted(body: bytes) -> bytes:
    """The answer that takes every message of a batch."""
    results = [{"r": "accepted", "at": 5.0, "final": True} for _ in json.loads(body).get("messages", [])]
    return answer(200, json.dumps({"host": "cloud", "results": results}).encode())


def test_a_busy_peer_is_left_alone_until_it_said(dialled: Callable[[Tell], Dialled]) -> None:
    """Its 503 defers what it was given, with its reason, and nothing more is posted for so long."""
    busy = answer(503, b'{"error":"no room"}', retry_after="30")
    two = dialled(lambda path, body: busy)
    first = two.spool.send("cloud-1", subject="first")
    two.start()
    assert soon(lambda: bool(two.spool.sent(first).reason), within_s=10)
    second = two.spool.send("cloud-1", subject="second")
    two.exchange.poke()
    time.sleep(0.3)

    row = two.spool.sent(first)
    assert row.state is State.QUEUED
    assert "503, no room" in (row.reason or "")
    assert row.due is not None and row.due - time.time() > 25
    assert len(two.batches()) == 1
    assert two.spool.sent(second).attempts == 0


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_message_that_is_turned_away_takes_no_other_with_it(
    dialled: Callable[[Tell], Dialled], status: int
) -> None:
    """Each of the batch is posted by itself then."""

    def tell(path: str, body: bytes) -> bytes:
        return answer(status, b'{"error":"not this"}') if b"unfit" in body else accepted(body)

    two = dialled(tell)
    ids = {each: two.spool.send("cloud-1", subject=each) for each in ("good", "unfit", "fine")}
    two.start()
    assert soon(lambda: two.spool.sent(ids["unfit"]).state is State.DEAD, within_s=10)

    assert "not this" in (two.spool.sent(ids["unfit"]).reason or "")
    assert soon(lambda: two.spool.sent(ids["fine"]).state is State.RECEIVED, within_s=10)
    assert two.spool.sent(ids["good"]).state is State.RECEIVED


def test_an_ack_that_is_turned_away_keeps_no_mail_from_going(dialled: Callable[[Tell], Dialled]) -> None:
    """Nor the other acks; asked for ever, it would stand before all of them."""
    two = dialled(lambda path, body: answer(413) if b"unfit" in body else accepted(body))
    for id, note in (("m1", "fine"), ("m2", "unfit"), ("m3", "fine")):
        arrive(two.spool, id=id)
        two.spool.done([id], note=note, agent="me")
    sent = two.spool.send("cloud-1", subject="x")
    two.start()
    assert soon(lambda: two.spool.sent(sent).state is State.RECEIVED, within_s=10)

    whole = [{ack["re"] for ack in each.get("acks", [])} for each in two.batches()]
    assert {"m1"} in whole and {"m3"} in whole
    assert two.error is None


def test_a_note_is_cut_to_what_the_other_side_keeps(dialled: Callable[[Tell], Dialled]) -> None:
    """A longer one would make a request that nobody reads."""
    two = dialled(lambda path, body: accepted(body))
    arrive(two.spool, id="m1")
    two.spool.done(["m1"], note="x" * 2_000_000, agent="me")
    two.start()
    assert soon(lambda: any(each.get("acks") for each in two.batches()), within_s=10)

    notes = [len(ack.get("note", "")) for each in two.batches() for ack in each.get("acks", [])]
    assert max(notes) == MAX_NOTE


def test_fewer_results_than_messages_leave_the_rest_queued(dialled: Callable[[Tell], Dialled]) -> None:
    """What is not said is not believed: they are offered again."""
    answered: list[int] = []

    def tell(path: str, body: bytes) -> bytes:
        if not answered:
            answered.append(1)
            return answer(200, b'{"host":"cloud","results":[{"r":"accepted","at":5.0,"final":true}]}')
        return accepted(body)

    two = dialled(tell)
    ids = two.spool.send_many([{"to": "cloud-1", "subject": each} for each in ("one", "two")])
    two.start()

    assert soon(lambda: all(two.spool.sent(id).state is State.RECEIVED for id in ids), within_s=10)
    assert [len(each["messages"]) for each in two.batches()] == [2, 1]


def test_a_page_of_another_server_is_no_answer(dialled: Callable[[Tell], Dialled]) -> None:
    """A portal that answers 200 to everything must not make mail look delivered."""
    two = dialled(lambda path, body: answer(200, b"<html>Please log in</html>"))
    id = two.spool.send("cloud-1", subject="x")
    two.start()

    assert isinstance(two.ended(), NoSpoolThere)
    assert two.spool.sent(id).state is State.QUEUED


def test_what_was_posted_when_it_broke_is_free_again(dialled: Callable[[Tell], Dialled]) -> None:
    """Nobody knows whether it arrived: the next try finds out."""
    two = dialled(lambda path, body: b"")
    id = two.spool.send("cloud-1", subject="x")
    two.start()

    assert isinstance(two.ended(), LinkLost)
    row = two.spool.sent(id)
    assert (row.state, row.lease_until) == (State.QUEUED, 0)


def test_a_message_with_files_is_refused_at_once(dialled: Callable[[Tell], Dialled], tmp_path: Path) -> None:
    """Whoever sends it is still there to do something else."""
    (tmp_path / "file").write_text("x")
    two = dialled(lambda path, body: accepted(body))

    with pytest.raises(BadMessage, match="do not travel"):
        two.spool.send("cloud-1", subject="x", attach=[tmp_path / "file"])


def test_a_message_with_files_that_is_queued_already_is_ended_and_not_posted(
    dialled: Callable[[Tell], Dialled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peer had another url when it was sent. With what to do: nobody waits for what will not come."""
    (tmp_path / "file").write_text("x")
    two = dialled(lambda path, body: accepted(body))
    with monkeypatch.context() as before:
        before.setattr(Peer, "carries_files", True)
        id = two.spool.send("cloud-1", subject="x", attach=[tmp_path / "file"])
    two.start()

    assert soon(lambda: two.spool.sent(id).state is State.DEAD, within_s=10)
    assert two.batches() == []
    assert "ssh://" in (two.spool.sent(id).reason or "")


def test_a_thousand_messages_are_few_requests(dialled: Callable[[Tell], Dialled]) -> None:
    """A batch costs a round trip, not a message."""
    two = dialled(lambda path, body: accepted(body))
    ids = two.spool.send_many([{"to": "cloud-1", "subject": "x" * 700}] * 1000)
    two.start()

    assert soon(lambda: two.spool.sent(ids[-1]).state is State.RECEIVED, within_s=20)
    assert len(two.batches()) <= 10
