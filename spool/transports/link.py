"""A live link: frames both ways over a pipe, between this host's gate and a far spool."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from spool import log
from spool.errors import (
    FarDiskFull,
    LinkError,
    LinkLost,
    NoSpoolThere,
    StoreError,
    StoreFull,
    Superseded,
    TimedOut,
    kinds,
)
from spool.gate import SILENT_S, Gate
from spool.inbox import Arrival
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports import frames
from spool.transports.base import Accepted, Deferred, Left, Outcome, Pipe, Refused
from spool.transports.lastwords import LastWords

HELLO_S: Final = 20.0
PING_S: Final = 2.5
DEAD_S: Final = 9.0
HOLD_EVERY_S: Final = 3.0
ASK_EVERY_S: Final = 60.0
LOOK_S: Final = 1.0
WINDOW: Final = 2048
WINDOW_BYTES: Final = 8 * 1024 * 1024
LEASE: Final = 256
FRAME_BYTES: Final = 256 * 1024
NOISE_BYTES: Final = 64 * 1024
NOISE_TOLD: Final = 400
RECEIVE_BYTES: Final = 256 * 1024
GATHER: Final = 512

# Wherever it begins: what a shell prints before it need not end with a line feed.
_GREETING: Final = re.compile(rb'\{"f":"(?:hello|bye)"')


class Link:
    """One link from hello to bye. `run` reads in the caller's thread; two more threads serve it.

    Args:
        dialled: whether this side opened the pipe. The dialling side skips what the far shell
            prints before hello.
    """

    def __init__(self, pipe: Pipe, gate: Gate, *, dialled: bool) -> None:
        self._pipe = pipe
        self._gate = gate
        self._dialled = dialled
        self._rest = b""
        self._noise = LastWords()
        self._number = 0
        self._control: deque[bytes] = deque()
        self._parcels: dict[int, list[Parcel]] = {}
        self._acks: dict[int, list[LeasedAck]] = {}
        self._in_flight = 0
        self._bytes_in_flight = 0
        self._look = True
        self._wake = threading.Condition()
        self._ended = threading.Event()
        self._error: LinkError | None = None
        self._pings: dict[int, float] = {}
        self._heard_at = self._sent_at = self._moved_at = gate.monotonic()
        self.up = threading.Event()

    def poke(self) -> None:
        """Look for work now: somebody rang."""
        with self._wake:
            self._look = True
            self._wake.notify_all()

    def quiet_for(self) -> float:
        """Seconds since a message or an ack last moved; 0 while one is on its way."""
        with self._wake:
            if self._in_flight or self._acks or self._control or self._look:
                return 0.0
            return self._gate.monotonic() - self._moved_at

    def end(self, why: LinkError | None = None) -> None:
        """End it, from any thread, as often as one likes; the first reason counts."""
        with self._wake:
            if not self._ended.is_set():
                self._error = why
                self._ended.set()
            self._wake.notify_all()
        self._pipe.close()

    def run(self) -> None:
        """Exchange until it ends.

        Raises:
            LinkError: why it ended; nothing where this side ended it on purpose.
        """
        threads: list[threading.Thread] = []
        try:
            self._greet()
            for work, name in ((self._write, "writer"), (self._keep, "keeper")):
                thread = threading.Thread(
                    target=self._guard, args=(work,), name=f"{name}:{self._gate.peer_name}", daemon=True
                )
                thread.start()
                threads.append(thread)
            self.up.set()
            self._read()
        except LinkError as exc:
            self._say_bye(exc)
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        finally:
            self.end()
            for thread in threads:
                thread.join(5.0)
            self._give_back()
            with contextlib.suppress(StoreError):
                self._gate.left(str(self._error or "ended here"))
        if self._error is not None:
            raise self._error

    # -- hello --------------------------------------------------------------------------------

    def _greet(self) -> None:
        late = TimedOut(f"{self._gate.peer_name}: no hello within {HELLO_S:.0f} s")
        timer = threading.Timer(HELLO_S, self.end, args=(late,))
        timer.daemon = True
        timer.start()
        try:
            with contextlib.suppress(LinkLost):
                # One that reads no more may have said why.
                self._pipe.send(frames.encode(self._gate.hello()))
            hello = self._await_hello()
        except LinkLost as exc:
            if self._error is None and not self._pipe.last_words():
                # The line broke; what is there at its end remains to be seen.
                raise
            raise self._nobody_there() from exc
        finally:
            timer.cancel()
        self._gate.arrived(hello, dialled=self._dialled)

    def _await_hello(self) -> frames.Hello:
        noise = 0
        while True:
            while b"\n" not in self._rest:
                # What stands behind a hello is no noise: much mail may come with it.
                if noise + len(self._rest) > NOISE_BYTES or not self._receive():
                    raise self._nobody_there()
            line, _, self._rest = self._rest.partition(b"\n")
            if (greeting := _GREETING.search(line)) is not None:
                match self._decode(line[greeting.start() :]):
                    case frames.Hello() as hello:
                        return hello
                    case frames.Bye(kind=kind, why=why):
                        # A far store that cannot be used is no spool there, for us.
                        raise _from_bye(kind, why, self._gate.peer_name, otherwise=NoSpoolThere)
            noise += len(line) + 1
            self._noise.feed(line + b"\n")

    def _nobody_there(self) -> LinkError:
        if self._error is not None:
            return self._error
        # A login that is none says so on stdout.
        said = [self._pipe.last_words(), self._noise.text()[-NOISE_TOLD:]]
        words = "; ".join(filter(None, said)) or "it ended without a word"
        return NoSpoolThere(
            f"{self._gate.peer_name}: no spool answered: {words}",
            hint=f"`spool peer check {self._gate.peer_name}` says what is missing",
        )

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> None:
        while not self._ended.is_set():
            for line_batch in self._lines():
                self._take(line_batch)
        if self._error is not None:
            raise self._error

    def _lines(self) -> Iterator[list[bytes]]:
        """Whole lines as they come, gathered so that one commit can serve many frames."""
        while not self._ended.is_set():
            *lines, self._rest = self._rest.split(b"\n")
            for start in range(0, len(lines), GATHER):
                yield lines[start : start + GATHER]
            if len(self._rest) > frames.MAX_FRAME:
                raise LinkLost(f"{self._gate.peer_name}: a frame over {frames.MAX_FRAME:,} bytes")
            if not self._receive():
                raise self._far_ended()

    def _receive(self) -> bool:
        got = self._pipe.receive(RECEIVE_BYTES)
        self._heard_at = self._gate.monotonic()
        self._rest += got
        return bool(got)

    def _far_ended(self) -> LinkError:
        if self._error is not None:
            return self._error
        words = self._pipe.last_words()
        return LinkLost(f"{self._gate.peer_name}: the far side ended" + (f": {words}" if words else ""))

    def _decode(self, line: bytes) -> frames.Frame | None:
        try:
            return frames.decode(line)
        except frames.BadFrame as exc:
            raise LinkLost(f"{self._gate.peer_name}: {exc}") from exc

    def _take(self, lines: Sequence[bytes]) -> None:
        messages: list[frames.Messages] = []
        results: list[frames.Results] = []
        for line in lines:
            frame = self._decode(line)
            if not isinstance(frame, frames.Messages) and messages:
                self._accept(messages)
                messages = []
            match frame:
                case frames.Messages():
                    messages.append(frame)
                case frames.Results():
                    results.append(frame)
                case None:
                    start = line[:40].decode("utf-8", "replace")
                    log.info("link.unknown_frame", peer=self._gate.peer_name, start=start)
                case _:
                    self._one(frame)
        if messages:
            self._accept(messages)
        if results:
            self._settle(results)

    def _one(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Acks(n=n, items=acks):
                self._gate.take_acks(acks)
                self._moved_at = self._gate.monotonic()
                self._send(frames.Results(n))
            case frames.Query(n=n, items=keys):
                self._send(frames.Answers(n, self._gate.answer(keys)))
            case frames.Answers(items=answers):
                self._gate.take_answers(answers)
                self.poke()
            case frames.Ping(n=n, echo=echo, unread=unread, queued=queued):
                if echo:
                    self._send(frames.Pong(n, self._gate.now()))
                if unread is not None:
                    self._gate.told_counts(unread=unread, queued=queued)
            case frames.Pong(n=n, clock=clock):
                self._measure(n, clock)
            case frames.Bye(kind=kind, why=why):
                raise _from_bye(kind, why, self._gate.peer_name)

    def _accept(self, batch: Sequence[frames.Messages]) -> None:
        arrivals = [
            Arrival(frames.raw_of(item), item.x, item.t, item.h, item.q)
            for frame in batch
            for item in frame.items
        ]
        # At return everything these results say is on the disk here.
        outcomes = self._gate.accept(arrivals)
        self._moved_at = self._gate.monotonic()
        start = 0
        for frame in batch:
            end = start + len(frame.items)
            self._send(frames.Results(frame.n, [_result(outcome) for outcome in outcomes[start:end]]))
            start = end

    def _settle(self, batch: Sequence[frames.Results]) -> None:
        told: list[tuple[Parcel, Outcome]] = []
        dropped: list[int] = []
        with self._wake:
            for frame in batch:
                if (acks := self._acks.pop(frame.n, None)) is not None:
                    dropped.extend(leased.seq for leased in acks)
                elif (parcels := self._parcels.pop(frame.n, None)) is not None:
                    if len(parcels) != len(frame.items):
                        raise LinkLost(f"{self._gate.peer_name}: results that do not fit frame {frame.n}")
                    self._in_flight -= len(parcels)
                    self._bytes_in_flight -= sum(len(parcel.raw) for parcel in parcels)
                    told.extend(
                        (parcel, _outcome(result, self._gate.far_host))
                        for parcel, result in zip(parcels, frame.items, strict=True)
                    )
        self._moved_at = self._gate.monotonic()
        if told:
            self._gate.settle(told)
        if dropped:
            self._gate.drop_acks(dropped)
        self.poke()

    # -- writing ------------------------------------------------------------------------------

    def _write(self) -> None:
        self._ask_where_it_stands(silent_s=0.0)
        self._ping(echo=True)
        while not self._ended.is_set():
            if (waiting := self._next()) is not None:
                self._pipe.send(waiting)
                self._sent_at = self._gate.monotonic()

    def _next(self) -> bytes | None:
        with self._wake:
            if not self._control and not self._look:
                self._wake.wait(LOOK_S)
                if not self._control:
                    self._look = True
            if self._control:
                frames_now = b"".join(self._control)
                self._control.clear()
                return frames_now
            self._look = False
            room = min(LEASE, WINDOW - self._in_flight) if self._bytes_in_flight < WINDOW_BYTES else 0
        if room > 0 and (packed := self._load(room)):
            return packed
        if self._gate.monotonic() - self._sent_at >= PING_S:
            self._ping(echo=False)
        return None

    def _load(self, room: int) -> bytes:
        load = self._gate.load(room)
        if len(load.parcels) == room or len(load.acks) == room:
            self._look = True
        with self._wake:
            # Remembered before anything can fail, so that the end gives them back.
            packed = self._pack_acks(load.acks) + self._pack_parcels(load.parcels)
        return b"".join(map(frames.encode, packed))

    def _pack_acks(self, acks: list[LeasedAck]) -> list[frames.Frame]:
        if not acks:
            return []
        n = self._next_number()
        self._acks[n] = acks
        return [frames.Acks(n, [leased.ack for leased in acks])]

    def _pack_parcels(self, parcels: list[Parcel]) -> list[frames.Frame]:
        now = self._gate.now()
        packed: list[frames.Frame] = []
        run: list[Parcel] = []
        size = 0
        for parcel in parcels:
            if run and size + len(parcel.raw) > FRAME_BYTES:
                packed.append(self._messages(run, now))
                run, size = [], 0
            run.append(parcel)
            size += len(parcel.raw)
        if run:
            packed.append(self._messages(run, now))
        return packed

    def _messages(self, run: list[Parcel], now: float) -> frames.Frame:
        n = self._next_number()
        self._parcels[n] = run
        self._in_flight += len(run)
        self._bytes_in_flight += sum(len(parcel.raw) for parcel in run)
        return frames.Messages(n, [frames.item_of(parcel, now) for parcel in run])

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _send(self, frame: frames.Frame) -> None:
        with self._wake:
            self._control.append(frames.encode(frame))
            self._wake.notify_all()

    def _ping(self, *, echo: bool) -> None:
        unread, queued = self._gate.counts() if echo else (None, None)
        with self._wake:
            n = self._next_number()
            if echo:
                self._pings[n] = self._gate.now()
        self._send(frames.Ping(n, self._gate.now(), echo, unread, queued))
        self._sent_at = self._gate.monotonic()

    def _measure(self, n: int, clock: float) -> None:
        with self._wake:
            asked = self._pings.pop(n, None)
        if asked is not None:
            middle = (asked + self._gate.now()) / 2
            self._gate.told_counts(unread=None, queued=None, offset_s=clock - middle)

    # -- keeping ------------------------------------------------------------------------------

    def _keep(self) -> None:
        held = asked = self._gate.monotonic()
        while not self._ended.wait(1.0):
            now = self._gate.monotonic()
            if now - self._heard_at > DEAD_S:
                raise LinkLost(f"{self._gate.peer_name}: nothing heard for {DEAD_S:.0f} s")
            if not self._gate.current():
                raise Superseded(f"a newer link to {self._gate.peer_name} took over")
            if now - held >= HOLD_EVERY_S:
                held = now
                self._gate.hold(heard=now - self._heard_at < HOLD_EVERY_S)
            if now - asked >= ASK_EVERY_S:
                asked = now
                self._ask_where_it_stands()
                self._ping(echo=True)

    def _ask_where_it_stands(self, silent_s: float = SILENT_S) -> None:
        if keys := self._gate.questions(silent_s=silent_s):
            self._send(frames.Query(self._next_number(), keys))

    # -- ending -------------------------------------------------------------------------------

    def _guard(self, work: object) -> None:
        assert callable(work)
        try:
            work()
        except LinkError as exc:
            self._say_bye(exc)
            self.end(exc)
        except StoreError as exc:
            self.end(LinkLost(f"the store here failed: {exc.message}", hint=exc.hint))
        except Exception as exc:  # noqa: BLE001  a link without its writer would stand for ever
            log.error("link.defect", peer=self._gate.peer_name, error=repr(exc), exc_info=exc)
            self.end(LinkLost(f"a defect of this side: {exc!r}"))

    def _say_bye(self, why: LinkError) -> None:
        """Tell the far side why, where it can still hear: a pipe that blocks is not waited for."""
        if isinstance(why, LinkLost | TimedOut | NoSpoolThere) or self._ended.is_set():
            return
        bye = frames.encode(frames.Bye(why.kind, why.message))
        thread = threading.Thread(target=self._try_send, args=(bye,), daemon=True)
        thread.start()
        thread.join(1.0)

    def _try_send(self, last: bytes) -> None:
        with contextlib.suppress(LinkError):
            self._pipe.send(last)

    def _give_back(self) -> None:
        with self._wake:
            load = Load(
                [parcel for run in self._parcels.values() for parcel in run],
                [leased for run in self._acks.values() for leased in run],
            )
            self._parcels.clear()
            self._acks.clear()
        with contextlib.suppress(StoreError):
            # Where the store fails, the leases run out by themselves.
            self._gate.release(load)


def _from_bye(kind: str, why: str, peer: str, *, otherwise: type[LinkError] = LinkLost) -> LinkError:
    cls = FarDiskFull if kind == StoreFull.kind else kinds().get(kind, otherwise)
    if not issubclass(cls, LinkError):
        cls = otherwise
    return cls(f"{peer} said: {why or 'bye'}"[:500])


def _result(outcome: Outcome) -> frames.Result:
    match outcome:
        case Accepted(at=at, final=final, again=again):
            return frames.Result("accepted", at, final, again)
        case Left(at=at):
            return frames.Result("accepted", at)
        case Deferred(reason=reason):
            return frames.Result("deferred", why=reason)
        case Refused(reason=reason):
            return frames.Result("refused", why=reason)


def _outcome(result: frames.Result, host: str) -> Outcome:
    match result.r:
        case "accepted":
            return Accepted(result.at, result.final, host, result.again)
        case "refused":
            return Refused(result.why)
        case "deferred":
            return Deferred(result.why)
        case unknown:
            return Deferred(f"an answer this version does not know: {unknown[:40]}")
