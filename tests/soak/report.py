"""What a soak prints at its end, and keeps as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from tests.soak.checker import Verdict, Violation
from tests.soak.faults import KINDS
from tests.soak.ground import Ground
from tests.soak.running import Soak

SHOWN: Final = 20
PROMISES: Final = ("lost", "doubled", "went back", "false proof", "stuck", "altered", "made up", "damaged")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and findings. `odd` are no breach of a promise, and somebody should look at them."""

    seed: int
    minutes: float
    drained_s: float
    faults: dict[str, int]
    in_flight: dict[str, int]
    missed: int
    deaths: dict[str, int]
    looks: int
    missed_looks: int
    eased: int
    archived: int
    counts: dict[str, int]
    reasons: dict[str, int]
    violations: list[Violation]
    odd: list[str]
    left: list[str]
    no_small: str

    @classmethod
    def of(cls, run: Soak, verdict: Verdict, place: Ground, *, seed: int, left: dict[int, str]) -> Report:
        """Of a soak that is over."""
        return cls(
            seed=seed,
            minutes=run.took_s / 60,
            drained_s=run.drained_s,
            faults=dict(run.schedule.hit),
            in_flight=dict(run.schedule.in_flight),
            missed=run.schedule.missed.total(),
            deaths={part.name: part.deaths for part in place.parts.values()},
            looks=run.looks,
            missed_looks=run.missed_looks,
            eased=run.eased,
            archived=run.archived,
            counts=verdict.counts,
            reasons=verdict.reasons,
            violations=verdict.violations,
            odd=run.defects,
            left=list(left.values()),
            no_small=place.no_small,
        )

    @property
    def failed(self) -> bool:
        """Whether something that is promised did not hold."""
        return bool(self.violations or self.left)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def table(report: Report) -> str:
    """All of it, a line each."""
    kinds = Counter(found.kind for found in report.violations)
    lines = [
        f"{report.minutes:.1f} minutes, then {report.drained_s:.0f} s to come to rest; --seed {report.seed}",
        f"faults: {sum(report.faults.values()):,}",
        *(_fault(report, kind) for kind in KINDS),
        f"  put off, as there was nobody to hit: {report.missed:,}",
        f"  deaths of programs: {sum(report.deaths.values()):,}",
        "messages:",
        *(f"  {what}: {count:,}" for what, count in report.counts.items()),
        *(f"    dead: {reason}: {count:,}" for reason, count in sorted(report.reasons.items())),
        f"  moved to archives meanwhile: {report.archived:,}",
        f"  looks at every state while it ran: {report.looks:,} ({report.missed_looks} could not be had)",
        f"  peers resumed by hand, to be dialled sooner: {report.eased:,}",
        "checked:",
        *(f"  {kind}: {kinds[kind]:,}" for kind in PROMISES),
        *(f"    {found.kind}: {found.id}: {found.text}" for found in report.violations[:SHOWN]),
        *(["    and more"] if len(report.violations) > SHOWN else []),
        *(f"  outlived it: {command}" for command in report.left),
        *([f"odd, and to be looked at: {len(report.odd)}"] if report.odd else []),
        *(f"  {each}" for each in report.odd[:SHOWN]),
    ]
    return "\n".join(lines)


def _fault(report: Report, kind: str) -> str:
    count, carried = report.faults.get(kind, 0), report.in_flight.get(kind, 0)
    if not count and "disk" in kind and report.no_small:
        return f"  {kind}: not tried ({report.no_small})"
    return f"  {kind}: {count:,}" + (f", of which {carried:,} with mail on its way" if carried else "")
