"""A live link: frames both ways over a pipe, between this host's gate and a far spool."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from spool import log
from spool.errors import LinkError, LinkLost, NoSpoolThere, StoreError, Superseded, TimedOut
from spool.gate import SILENT_S, Gate
from spool.inbox import Arrival
from spool.store.base import Parcel
from spool.transports import frames
from spool.transports.base import Outcome, Pipe
from spool.transports.lines import Bulk, Line, Lines, from_bye
from spool.transports.pieces_in import PiecesIn
from spool.transports.pieces_out import PiecesOut
from spool.transports.window import Window, result_of

HELLO_S: Final = 20.0
PING_S: Final = 2.5
DEAD_S: Final = 9.0
HOLD_EVERY_S: Final = 3.0
ASK_EVERY_S: Final = 60.0
# Where something moved, the far side is told at most so often how the agents here stand now.
TELL_EVERY_S: Final = 5.0
LOOK_S: Final = 1.0
# Where mail comes in quick succession, what came meanwhile goes together: one lease, one commit, one answer.
LINGER_S: Final = 0.005
FEW: Final = 256
UNREAD_BYTES: Final = 8 * 1024 * 1024


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
        self._lines = Lines(pipe, gate.peer_name, self._heard)
        self._window = Window()
        self._files_out = PiecesOut(gate)
        self._files_in = PiecesIn(gate, self._send, self._guard)
        self._control: deque[bytes] = deque()
        self._unread = 0
        self._look = True
        self._looked_at = self._offered_at = 0.0
        self._linger_until = 0.0
        self._wake = threading.Condition()
        self._ended = threading.Event()
        self._error: LinkError | None = None
        self._pings: dict[int, float] = {}
        self._heard_at = self._sent_at = self._moved_at = self._told_at = gate.monotonic()
        self.up = threading.Event()

    def poke(self) -> None:
        """Look for work now: somebody rang."""
        with self._wake:
            if not self._look:
                self._look = True
                self._wake.notify_all()

    def quiet_for(self) -> float:
        """Seconds since a message, an ack or a file last moved; 0 while one is on its way."""
        with self._wake:
            files = self._files_out.is_busy or self._files_in.is_sealing
            if not self._window.is_empty or files or self._control or self._look:
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
            self._files_in.end()
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
            hello = self._lines.hello()
        except LinkLost as exc:
            if self._error is not None:
                raise self._error from exc
            if not self._pipe.last_words():
                # The line broke; what is there at its end remains to be seen.
                raise
            raise self._lines.nobody_there() from exc
        finally:
            timer.cancel()
        self._gate.arrived(hello, dialled=self._dialled)

    # -- reading ------------------------------------------------------------------------------

    def _read(self) -> None:
        for batch in self._lines.batches():
            self._take(batch)
            if self._ended.is_set():
                return

    def _heard(self) -> None:
        self._heard_at = self._gate.monotonic()

    def _take(self, lines: Sequence[Line]) -> None:
        messages: list[frames.Messages] = []
        results: list[frames.Results] = []
        for line in lines:
            if isinstance(line, Bulk):
                self._moved_at = self._gate.monotonic()
                self._files_in.take(line)
                continue
            frame = self._lines.decode(line)
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
                self._ask_what_is_in_doubt()
                self.poke()
            case frames.Ping(n=n, echo=echo, unread=unread, queued=queued, agents=agents):
                if echo:
                    self._send(frames.Pong(n, self._gate.now()))
                if unread is not None or agents is not None:
                    self._gate.told_counts(unread=unread, queued=queued, agents=agents)
            case frames.Pong(n=n, clock=clock):
                self._measure(n, clock)
            case frames.Offer():
                self._files_in.take(frame)
            case frames.Have():
                if self._files_out.told(frame):
                    self.poke()
                else:
                    with self._wake:
                        self._wake.notify_all()
            case frames.Bye(kind=kind, why=why):
                raise from_bye(kind, why, self._gate.peer_name)

    def _accept(self, batch: Sequence[frames.Messages]) -> None:
        arrivals = [
            Arrival(frames.raw_of(item), item.x, item.t, item.h, item.q, attached=item.a)
            for frame in batch
            for item in frame.items
        ]
        # At return everything these results say is on the disk here.
        outcomes = self._gate.accept(arrivals)
        self._moved_at = self._gate.monotonic()
        start = 0
        for frame in batch:
            end = start + len(frame.items)
            self._send(frames.Results(frame.n, [result_of(outcome) for outcome in outcomes[start:end]]))
            start = end

    def _settle(self, batch: Sequence[frames.Results]) -> None:
        told: list[tuple[Parcel, Outcome]] = []
        dropped: list[int] = []
        with self._wake:
            for frame in batch:
                if (acks := self._window.acks_of(frame.n)) is not None:
                    dropped.extend(leased.seq for leased in acks)
                else:
                    told.extend(self._window.told(frame, host=self._gate.far_host))
        self._moved_at = self._gate.monotonic()
        if told:
            self._gate.settle(told)
        if dropped:
            self._gate.drop_acks(dropped)
        self.poke()

    # -- writing ------------------------------------------------------------------------------

    def _write(self) -> None:
        self._ask_where_it_stands(silent_s=0.0)
        self._ask_what_is_in_doubt()
        self._ping(echo=True)
        while not self._ended.is_set():
            if (waiting := self._next()) is not None:
                self._pipe.send(waiting)
                self._sent_at = self._gate.monotonic()

    def _next(self) -> bytes | None:
        with self._wake:
            if not self._control and not self._look and not self._files_out.may_send():
                self._wake.wait(LOOK_S)
            if self._gate.monotonic() - self._looked_at >= LOOK_S:
                self._look = True
            if self._control:
                # A part at a time: what is handed to the pipe is no longer counted.
                few = [self._control.popleft() for _ in range(min(FEW, len(self._control)))]
                frames_now = b"".join(few)
                self._unread -= len(frames_now)
                return frames_now
            if self._look and (rest_s := self._linger_until - self._gate.monotonic()) > 0:
                self._wake.wait(rest_s)
                return None
            look, self._look = self._look, False
            room = self._window.room()
        if look and (packed := self._looked(room)):
            return packed
        if (piece := self._files_out.next()) is not None:
            return piece
        if self._gate.monotonic() - self._sent_at >= PING_S:
            self._ping(echo=False, tells=False)
        return None

    def _looked(self, room: int) -> bytes:
        """Mail, and the offers of files, for which mail does not wait: seldom where there is any."""
        now = self._looked_at = self._gate.monotonic()
        packed = self._load(room) if room > 0 else b""
        if packed and now - self._offered_at < LOOK_S:
            return packed
        self._offered_at = now
        return packed + b"".join(map(frames.encode, self._files_out.look()))

    def _load(self, room: int) -> bytes:
        load = self._gate.load(room)
        if len(load.parcels) == room or len(load.acks) == room:
            self._look = True
        elif load.parcels or load.acks:
            self._linger_until = self._gate.monotonic() + LINGER_S
        with self._wake:
            # Remembered before anything can fail, so that the end gives them back.
            packed = self._window.pack(load, now=self._gate.now())
        return b"".join(map(frames.encode, packed))

    def _send(self, frame: frames.Frame) -> None:
        packed = frames.encode(frame)
        with self._wake:
            self._control.append(packed)
            self._unread += len(packed)
            unread = self._unread
            self._wake.notify_all()
        if unread > UNREAD_BYTES:
            # Waiting instead could be for ever: the far side may wait for us in the same way.
            raise LinkLost(f"{self._gate.peer_name}: it asks on and does not read the answers")

    def _ping(self, *, echo: bool, tells: bool = True) -> None:
        if tells:
            # First: what moves meanwhile is told of again.
            self._told_at = self._gate.monotonic()
        unread, queued, agents = self._gate.counts() if tells else (None, None, None)
        with self._wake:
            n = self._window.next_number()
            if echo:
                self._pings[n] = self._gate.now()
        self._send(frames.Ping(n, self._gate.now(), echo, unread, queued, agents))
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
            elif self._moved_at > self._told_at and now - self._told_at >= TELL_EVERY_S:
                self._ping(echo=False)

    def _ask_where_it_stands(self, silent_s: float = SILENT_S) -> None:
        self._query(self._gate.questions(silent_s=silent_s))

    def _ask_what_is_in_doubt(self) -> None:
        # A page at a time, the next one when it was answered.
        self._query(self._gate.doubted())

    def _query(self, keys: list[frames.Key]) -> None:
        if keys:
            with self._wake:
                n = self._window.next_number()
            self._send(frames.Query(n, keys))

    # -- ending -------------------------------------------------------------------------------

    def _guard(self, work: Callable[[], None]) -> None:
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
            load = self._window.empty()
        with contextlib.suppress(StoreError):
            # Where the store fails, the leases run out by themselves.
            self._gate.release(load)
