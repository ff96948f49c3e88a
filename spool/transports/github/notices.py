"""Escalations as issues: each made once, put right as its message moves on, and closed."""

from __future__ import annotations

from typing import Final

from spool import issue_blocks
from spool.errors import LinkError
from spool.issues_gate import IssuesGate, spot_of
from spool.notices import Notice
from spool.transports.github.answers import Issue
from spool.transports.github.client import Repository
from spool.transports.github.http import Declined
from spool.transports.github.posting import GONE, NOT_DONE, SETTLE_S

DECLINED_S: Final = 60.0


class Notifier:
    """Puts up what a person should know of."""

    def __init__(self, repository: Repository, gate: IssuesGate) -> None:
        self._repository = repository
        self._gate = gate
        # By the monotonic clock: what was declined is not asked for each second.
        self._not_before: dict[tuple[str, str], float] = {}

    def tell(self) -> int:
        """Put up, change and close what is due; how many. Raises LinkError."""
        now = self._gate.monotonic()
        # Beside those that must wait: they must not stand in the way of all others.
        waiting = [key for key, at in self._not_before.items() if at > now]
        due = [each for each in self._gate.escalations(beside=len(waiting)) if _key(each) not in waiting]
        told, failed = 0, None
        for notice in due:
            try:
                told += self._try(notice, now)
            except NOT_DONE:
                raise
            except LinkError as exc:
                if failed is not None:
                    raise
                failed = exc
        if failed is not None:
            raise failed
        return told

    def _try(self, notice: Notice, now: float) -> bool:
        try:
            if self._one(notice):
                self._not_before.pop(_key(notice), None)
                return True
            self._not_before[_key(notice)] = now + SETTLE_S
        except Declined as exc:
            self._not_before[_key(notice)] = now + DECLINED_S
            self._gate.escalation_failed(notice, f"GitHub declines it ({exc.status}): {exc}")
        except LinkError as exc:
            self._gate.escalation_failed(notice, exc.message)
            raise
        return False

    def _one(self, notice: Notice) -> bool:
        """Make it stand there; False where one may, and is to be looked for once more."""
        number = notice.number if notice.number is not None else self._number_of(notice)
        url: str | None = None
        if number is not None:
            url = self._change(notice, number)
        elif notice.open:
            name = spot_of(notice.id)
            before = self._gate.spot(notice.sender, name)
            # A time that is yet to come was noted by a clock that has been set back since.
            if before is not None and 0 <= self._gate.now() - before.tried_at < SETTLE_S:
                return False
            made = self._make(notice, name)
            number, url = made.number, made.html_url
        self._gate.escalation_done(notice, number=number, url=url)
        return True

    def _change(self, notice: Notice, number: int) -> str | None:
        changes = {"title": notice.title, "body": notice.body}
        if notice.turns:
            changes["state"] = "open" if notice.open else "closed"
        try:
            return self._repository.edit(number, **changes).html_url
        except Declined as exc:
            if exc.status not in GONE:
                raise
        # Somebody has deleted it: it is not made again.
        return None

    def _make(self, notice: Notice, name: str) -> Issue:
        self._gate.intend(notice.sender, name)
        try:
            label = self._gate.peer.label
            made = self._repository.create(title=notice.title, body=notice.body, labels=[label])
        except (Declined, *NOT_DONE):
            self._gate.withdraw(notice.sender, name)
            raise
        self._gate.posted(notice.sender, name, number=made.number, comment=0)
        return made

    def _number_of(self, notice: Notice) -> int | None:
        """The issue of a notice that may have been put up before, by an account that counts."""
        if (
            spot := self._gate.spot(notice.sender, spot_of(notice.id))
        ) is not None and spot.number is not None:
            return spot.number
        since = self._gate.since("issues")
        for issue in self._repository.made_issues(label=self._gate.peer.label, since=since):
            found = issue_blocks.find(issue.body or "")
            if found is not None and str(found[0]) == notice.marker and self._gate.trusts(issue.login):
                return issue.number
        return None


def _key(notice: Notice) -> tuple[str, str]:
    return notice.sender, notice.id
