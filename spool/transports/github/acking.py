"""How far mail got: one comment on each issue, edited as it goes, and the issue closed at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spool import issue_blocks, issue_words, log
from spool.errors import LinkError
from spool.issue_blocks import Marker
from spool.issues_gate import IssuesGate
from spool.message import Ack
from spool.store.base import LeasedAck
from spool.transports.github.client import Repository
from spool.transports.github.http import Declined
from spool.transports.github.posting import GONE, NOT_DONE

# GitHub has two words for the end of an issue.
CLOSED: Final = {"done": "completed", "rejected": "not_planned"}


class Acker:
    """Writes the acks that this host has for the peer."""

    def __init__(self, repository: Repository, gate: IssuesGate) -> None:
        self._repository = repository
        self._gate = gate

    def write(self, leased: Sequence[LeasedAck]) -> int:
        """Tell acks; how many. Each that was told, or can be told nowhere, is forgotten. Raises LinkError."""
        failed: LinkError | None = None
        for number, group in self._by_issue(leased).items():
            try:
                self._tell(number, [each.ack for each in group])
                self._close(number, [each.ack for each in group])
            except Declined as exc:
                log.warning("ack.refused", peer=self._gate.peer_name, number=number, error=str(exc))
                self._gate.forget_acks([each.seq for each in group])
            except NOT_DONE:
                raise
            except LinkError as exc:
                if failed is not None:
                    raise
                # One issue that fails each time must not stand in the way of all others.
                failed = exc
            else:
                self._gate.drop_acks([each.seq for each in group])
        if failed is not None:
            raise failed
        return len(leased)

    def _by_issue(self, leased: Sequence[LeasedAck]) -> dict[int, list[LeasedAck]]:
        groups: dict[int, list[LeasedAck]] = {}
        for each in leased:
            spot = self._gate.spot(each.ack.to, each.ack.re)
            if spot is None or spot.number is None:
                log.warning("ack.unknown", id=each.ack.re, peer=self._gate.peer_name, status=each.ack.status)
                self._gate.forget_acks([each.seq])
            else:
                groups.setdefault(spot.number, []).append(each)
        return groups

    def _tell(self, number: int, acks: Sequence[Ack]) -> None:
        row, before = self._gate.told(number)
        said = {(ack.to, ack.re, ack.status) for ack in before}
        whole = [*before, *(ack for ack in acks if (ack.to, ack.re, ack.status) not in said)]
        comment = None if row is None else row.comment
        if comment is not None and len(whole) == len(before):
            return
        text, kept = issue_words.acks(whole, host=self._gate.host)
        if row is not None and comment is None:
            comment = self._found(number)
        if comment is not None and not self._edit(comment, text):
            comment = None
        if comment is None:
            # On disk before it is made: killed in between, it is looked for.
            self._gate.tell(number, before, comment=None)
            comment = self._repository.comment(number, text).id
        self._gate.tell(number, kept, comment=comment)

    def _edit(self, comment: int, text: str) -> bool:
        try:
            self._repository.edit_comment(comment, text)
        except Declined as exc:
            # Somebody deleted it: another one takes its place.
            if exc.status in GONE:
                return False
            raise
        return True

    def _found(self, number: int) -> int | None:
        """This host's comment on an issue, if one was made and the answer was lost."""
        marker = Marker("acks", self._gate.host)
        for comment in self._repository.made_comments(number, since=self._gate.since("comments")):
            found = issue_blocks.find(comment.body or "")
            if found is not None and found[0] == marker and self._gate.trusts(comment.login):
                return comment.id
        return None

    def _close(self, number: int, acks: Sequence[Ack]) -> None:
        """Where the message is the issue itself, its end is the issue's."""
        issue = self._gate.spot_at(number)
        for ack in acks:
            if issue is not None and (ack.to, ack.re) == (issue.sender, issue.id) and ack.status in CLOSED:
                self._repository.edit(number, state="closed", state_reason=CLOSED[ack.status])
