"""What a link has sent and not had answered: numbered, counted, given back at the end."""

from __future__ import annotations

from typing import Final

from spool.errors import LinkLost
from spool.outbox import Load
from spool.store.base import LeasedAck, Parcel
from spool.transports import frames
from spool.transports.base import Accepted, Deferred, Left, Outcome, Refused

MOST: Final = 2048
MOST_BYTES: Final = 8 * 1024 * 1024
LEASE: Final = 256
FRAME_BYTES: Final = 256 * 1024
WHY: Final = 1000


class Window:
    """The frames of one link that wait for results. Not safe for threads: its link holds a lock."""

    def __init__(self) -> None:
        self._number = 0
        self._parcels: dict[int, list[Parcel]] = {}
        self._acks: dict[int, list[LeasedAck]] = {}
        self._count = 0
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything was answered."""
        return not self._parcels and not self._acks

    def room(self) -> int:
        """How many messages may be leased now."""
        return min(LEASE, MOST - self._count) if self._bytes < MOST_BYTES else 0

    def next_number(self) -> int:
        """A number for a frame, never given before on this link."""
        self._number += 1
        return self._number

    def pack(self, load: Load, *, now: float) -> list[frames.Frame]:
        """The frames that carry a load; from here on it waits for its results."""
        packed: list[frames.Frame] = []
        if load.acks:
            n = self.next_number()
            self._acks[n] = load.acks
            packed.append(frames.Acks(n, [leased.ack for leased in load.acks]))
        return packed + [self._messages(run, now) for run in runs(load.parcels)]

    def acks_of(self, n: int) -> list[LeasedAck] | None:
        """The acks of frame `n`, which are on the far disk now; None where it had none."""
        return self._acks.pop(n, None)

    def told(self, result: frames.Results, *, host: str) -> list[tuple[Parcel, Outcome]]:
        """The messages of the frame that these results answer, each with its outcome.

        Raises:
            LinkLost: there are more or fewer results than messages.
        """
        if (parcels := self._parcels.get(result.n)) is None:
            return []
        if len(parcels) != len(result.items):
            raise LinkLost(f"results that do not fit frame {result.n}")
        del self._parcels[result.n]
        self._count -= len(parcels)
        self._bytes -= sum(len(parcel.raw) for parcel in parcels)
        return [(parcel, outcome_of(item, host)) for parcel, item in zip(parcels, result.items, strict=True)]

    def empty(self) -> Load:
        """Everything that was not answered, to be given back."""
        load = Load(
            [parcel for run in self._parcels.values() for parcel in run],
            [leased for run in self._acks.values() for leased in run],
        )
        self._parcels.clear()
        self._acks.clear()
        self._count = self._bytes = 0
        return load

    def _messages(self, run: list[Parcel], now: float) -> frames.Frame:
        n = self.next_number()
        self._parcels[n] = run
        self._count += len(run)
        self._bytes += sum(len(parcel.raw) for parcel in run)
        return frames.Messages(n, [frames.item_of(parcel, now) for parcel in run])


def runs(parcels: list[Parcel]) -> list[list[Parcel]]:
    """Cut into runs of at most FRAME_BYTES, one message at least in each."""
    runs: list[list[Parcel]] = []
    size = FRAME_BYTES
    for parcel in parcels:
        if size + len(parcel.raw) > FRAME_BYTES:
            runs.append([])
            size = 0
        runs[-1].append(parcel)
        size += len(parcel.raw)
    return runs


def result_of(outcome: Outcome) -> frames.Result:
    """An outcome as a frame says it."""
    match outcome:
        case Accepted(at=at, final=final, again=again):
            return frames.Result("accepted", at, final, again)
        case Left(at=at):
            return frames.Result("accepted", at)
        case Deferred(reason=reason, after_s=after_s):
            return frames.Result("deferred", why=reason, after=after_s)
        case Refused(reason=reason):
            return frames.Result("refused", why=reason)


def outcome_of(result: frames.Result, host: str) -> Outcome:
    """What a frame said; `host` is who said it. An answer of a newer version is no answer yet."""
    match result.r:
        case "accepted":
            return Accepted(result.at, result.final, host, result.again)
        case "refused":
            return Refused(result.why[:WHY])
        case "deferred":
            return Deferred(result.why[:WHY], result.after)
        case unknown:
            return Deferred(f"an answer this version does not know: {unknown[:40]}")
