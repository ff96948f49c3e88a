"""An HTTPS peer from hello to the end: posts what is due, and polls for what waits for us there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from spool import log
from spool.errors import LinkError, LinkLost, NoSpoolThere, SpoolError, StoreError, Superseded, Unreachable
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports import http_words as words
from spool.transports.base import Refused
from spool.transports.frames import Answer, Key, Result
from spool.transports.http_call import HttpCall, Reply
from spool.transports.http_words import Batch, Greeting, Mail, Poll, Taken
from spool.transports.window import LEASE, runs
from spool.web_gate import WebGate

LOOK_S: Final = 1.0
HOLD_EVERY_S: Final = 5.0
ASK_EVERY_S: Final = 60.0
# Where nothing else is said: a host that went away is noticed, and a connection kept.
PING_S: Final = 20.0
# As often, a peer that answers with nothing is asked.
TIRED_S: Final = 1.0
JOIN_S: Final = 3.0
_T = TypeVar("_T")


class Webhook:
    """The exchange with one HTTPS peer: `run` keeps it in the caller's thread, two more post and poll.

    It goes by what `Exchange` promises.
    """

    def __init__(self, call: HttpCall, gate: WebGate) -> None:
        self._call = call
        self._gate = gate
        self._name = gate.peer_name
        self._session = ""
        self._poll_s = words.POLL_S
        self._wake = threading.Condition()
        self._look = self._busy = True
        self._polled = threading.Event()
        self._ended = threading.Event()
        self._error: LinkError | None = None
        self._paused_until = float("-inf")
        self._asked_at = float("-inf")
        self._heard_at = self._moved_at = gate.monotonic()
        self.up = threading.Event()

    def poke(self) -> None:
        """Look for work now: somebody rang."""
        with self._wake:
            self._look = True
            self._wake.notify_all()

    def quiet_for(self) -> float:
        """Seconds since something moved; 0 while there is work, and before the first poll is answered."""
        with self._wake:
            if self._look or self._busy or (self._session and not self._polled.is_set()):
                return 0.0
            return self._gate.monotonic() - self._moved_at

    def end(self, why: LinkError | None = None) -> None:
        """End it, from any thread, as often as one likes; the first reason counts."""
        with self._wake:
            if not self._ended.is_set():
                self._error = why
                self._ended.set()
            self._wake.notify_all()
        self._call.close()

    def run(self) -> None:
        """Exchange until it ends.

        Raises:
            LinkError: why it ended; nothing where this side ended it on purpose.
        """
        threads: list[threading.Thread] = []
        try:
            self._greet()
            works = [("poster", self._post), *([("poller", self._poll)] if self._session else [])]
            for name, work in works:
                thread = threading.Thread(
                    target=self._guard, args=(work,), name=f"{name}:{self._name}", daemon=True
                )
                thread.start()
                threads.append(thread)
            self.up.set()
            self._guard(self._keep)
        except LinkError as exc:
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        finally:
            self.end()
            for thread in threads:
                thread.join(JOIN_S)
            self._leave()
        if self._error is not None:
            raise self._error

    def _leave(self) -> None:
        try:
            self._gate.left(str(self._error or "ended here"))
        except StoreError as exc:
            log.error("store.failed", peer=self._name, error=str(exc), kind=exc.kind)

    def _greet(self) -> None:
        reply = self._call.post(words.HELLO, words.encode(words.Greet(self._gate.hello())))
        if reply.is_later:
            busy = Unreachable(f"{self._name}: it answers {reply.status}, {_said(reply)}")
            busy.after_s = reply.retry_after_s
            raise busy
        greeting = self._read(reply, Greeting)
        self._gate.arrived(greeting.hello, dialled=True)
        self._session, self._poll_s = greeting.session, min(max(greeting.poll_s, 0.0), words.POLL_S)

    # -- keeping ------------------------------------------------------------------------------

    def _keep(self) -> None:
        held_at = self._gate.monotonic()
        while not self._ended.wait(LOOK_S):
            now = self._gate.monotonic()
            if not self._gate.current():
                raise Superseded(f"a newer link to {self._name} took over")
            if now - held_at >= HOLD_EVERY_S:
                held_at = now
                self._gate.hold(heard=now - self._heard_at < self._poll_s + HOLD_EVERY_S)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except LinkError as exc:
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        except SpoolError as exc:
            self.end(LinkLost(exc.message, hint=exc.hint))
        except Exception as exc:  # noqa: BLE001  a peer without its poster would stand for ever
            log.error("link.defect", peer=self._name, error=repr(exc), exc_info=exc)
            self.end(LinkLost(f"a defect of this side: {exc!r}"))

    # -- posting ------------------------------------------------------------------------------

    def _post(self) -> None:
        self._ask(0.0)
        while not self._ended.is_set():
            self._turn()

    def _turn(self) -> None:
        with self._wake:
            if not self._look:
                self._wake.wait(LOOK_S)
            self._look, self._busy = False, True
        now = self._gate.monotonic()
        if not self._ended.is_set() and now >= self._paused_until:
            self._push()
            if now - self._asked_at >= ASK_EVERY_S:
                self._ask(None)
            elif now - self._heard_at >= PING_S and not self._session:
                self._talk(Batch(counts=self._gate.standing()))
        with self._wake:
            self._busy = False

    def _push(self) -> None:
        self._gate.refuse_files()
        while not self._ended.is_set() and self._gate.monotonic() >= self._paused_until:
            load = self._gate.load(LEASE)
            if not load.parcels and not load.acks:
                return
            self._carry(load)

    def _carry(self, load: Load) -> None:
        acks, batches = load.acks, runs(load.parcels) or [[]]
        for n, parcels in enumerate(batches):
            try:
                self._hand_over(parcels, acks)
            except BaseException:
                # Where the store fails too, the leases run out by themselves.
                self._gate.give_back([parcel for run in batches[n:] for parcel in run], acks)
                raise
            acks = []

    def _hand_over(self, parcels: Sequence[Parcel], acks: Sequence[LeasedAck]) -> None:
        items = words.items_of(parcels, now=self._gate.now())
        reply = self._talk(Batch(messages=items, acks=[words.short(leased.ack) for leased in acks]))
        match reply:
            case Taken(results=results):
                self._gate.told(parcels, results)
                if acks:
                    self._gate.drop_acks([leased.seq for leased in acks])
            case Reply() if reply.is_later:
                self._gate.defer(
                    parcels, f"it answers {reply.status}, {_said(reply)}", after_s=reply.retry_after_s
                )
                self._gate.give_back([], acks)
            case _ if len(parcels) + bool(acks) > 1:
                self._one_by_one(parcels, acks)
            case Reply() if parcels:
                self._gate.settle([(parcels[0], Refused(f"it answers {reply.status}, {_said(reply)}"))])
            case Reply() if len(acks) > 1:
                half = len(acks) // 2
                self._hand_over([], acks[:half])
                self._hand_over([], acks[half:])
            case Reply():
                # Asked for ever, it would stand in the way of all mail.
                why = f"it answers {reply.status}, {_said(reply)}"
                log.warning("ack.refused", peer=self._name, id=acks[0].ack.re, error=why)
                self._gate.drop_acks([acks[0].seq])
        self._moved_at = self._gate.monotonic()

    def _one_by_one(self, parcels: Sequence[Parcel], acks: Sequence[LeasedAck]) -> None:
        """One of them was not to be had, and all were turned away with it."""
        if acks:
            self._hand_over([], acks)
        for parcel in parcels:
            self._hand_over([parcel], [])

    def _talk(self, batch: Batch) -> Taken | Reply:
        """Post one; a reply where it was not taken."""
        reply = self._call.post(words.BATCH, words.encode(batch))
        self._heard_at = self._gate.monotonic()
        if reply.is_later:
            self._paused_until = self._heard_at + max(reply.retry_after_s, TIRED_S)
        if not reply.is_good:
            return reply
        taken = self._read(reply, Taken)
        if taken.answers:
            self._gate.take_answers(taken.answers)
        return taken

    def _ask(self, silent_s: float | None) -> None:
        """Ask how far messages got of which nothing was heard for so long, and those that are in doubt."""
        self._asked_at = self._gate.monotonic()
        questions = self._gate.questions() if silent_s is None else self._gate.questions(silent_s=silent_s)
        self._query(questions)
        while doubted := self._gate.doubted():
            # A page at a time.
            self._query(doubted)

    def _query(self, keys: list[Key]) -> None:
        self._talk(Batch(query=keys, counts=self._gate.standing()))

    # -- polling ------------------------------------------------------------------------------

    def _poll(self) -> None:
        n, results, answers = 0, list[Result](), list[Answer]()
        while not self._ended.is_set():
            # The first is answered at once: then it is known whether anything waits.
            wait_s = self._poll_s if self._polled.is_set() else 0.0
            asked, asked_at = Poll(self._session, n, results, answers, wait_s), self._gate.monotonic()
            reply = self._call.post(words.POLL, words.encode(asked), wait_s=wait_s)
            if reply.is_later:
                self._ended.wait(max(reply.retry_after_s, TIRED_S))
                continue
            mail = self._read(reply, Mail)
            self._heard_at = self._gate.monotonic()
            n, results, answers = mail.n, self._gate.take(mail.messages), self._gate.answers(mail.query)
            if mail.acks:
                self._gate.take_acks(mail.acks)
            if mail.messages or mail.acks:
                self._moved_at = self._gate.monotonic()
            is_first = not self._polled.is_set()
            self._polled.set()
            self._gate.take_standing(mail.counts)
            if not (is_first or mail.n) and self._heard_at - asked_at < TIRED_S:
                # It ends, or does not wait as it is asked to.
                self._ended.wait(TIRED_S)

    def _read(self, reply: Reply, kind: type[_T]) -> _T:
        if not reply.is_good:
            raise NoSpoolThere(f"{self._name}: it answers {reply.status}, {_said(reply)}")
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            start = reply.body[:80].decode("utf-8", "replace")
            raise NoSpoolThere(f"{self._name}: no spool answers there: {start!r}") from exc


def _said(reply: Reply) -> str:
    try:
        said = msgspec.json.decode(reply.body, type=words.Trouble)
        return f"{said.error}; {said.hint}" if said.hint else said.error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "and does not say why"
