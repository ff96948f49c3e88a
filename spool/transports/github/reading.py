"""What came on GitHub since it was read last: mail of the far spool, of people, and how far ours got."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from spool import issue_blocks, issue_people, log
from spool.errors import SpoolError
from spool.foreign import Found
from spool.issue_blocks import Block, Broken, Marker
from spool.issue_people import Origin, Written
from spool.issue_words import URGENT
from spool.issues_gate import IssuesGate, Taken, digest_of, spot_name, spot_of
from spool.message import Ack, parse
from spool.transports.github.answers import Comment, Issue
from spool.transports.github.client import Page, Repository
from spool.transports.github.http import Declined

# Who was told of in the log; forgotten, and told of again, when there are more.
TOLD: Final = 1000
# So many pages more are read, each time anew, where something on one cannot be taken now.
BEHIND: Final = 5
_Item = TypeVar("_Item", Issue, Comment)


class Kept(NamedTuple):
    """What came of a page: how many messages were taken, and whether those were all there are."""

    taken: int
    whole: bool


class Reader:
    """Reads both lists of a repository: its issues with the label, and all comments."""

    def __init__(self, repository: Repository, gate: IssuesGate) -> None:
        self._repository = repository
        self._gate = gate
        self._strangers: set[str] = set()
        self._full = False

    def look(self) -> int:
        """Take what is new; how much that was. Raises LinkError."""
        closed: list[Issue] = []
        label = self._gate.peer.label
        # A closed issue is done with after the comments only: until then the list is not read up to it.
        moved, upto = self._read(
            "issues",
            lambda page, since: self._repository.issues(page, label=label, since=since),
            lambda issues: self._issues(issues, closed),
            lambda: bool(closed),
        )
        taken, _ = self._read(
            "comments",
            lambda page, since: self._repository.comments(page, since=since),
            self._comments,
        )
        # After the comments: what the far spool said of its own end is more than that it closed the issue.
        ended = self._closed(closed)
        if upto:
            self._gate.read_up_to("issues", upto)
        return moved + taken + ended

    def _read(
        self,
        what: str,
        ask: Callable[[int, str], Page[_Item]],
        take: Callable[[list[_Item]], Kept],
        waits: Callable[[], bool] = lambda: False,
    ) -> tuple[int, str]:
        """Page by page, each from where the last one ended: items move to the end while one reads.

        What this host does not take now is listed again at the next look. What stands behind it is taken
        all the same, as far as `BEHIND` pages go.

        Args:
            waits: whether something that was read is not done with, so that it must be met again.

        Returns:
            How much was taken; and up to when all of it was, where that is not written down.
        """
        since, number, moved, behind, upto = self._gate.since(what), 1, 0, 0, ""
        while True:
            page = ask(number, since)
            kept = take(page.items)
            moved += kept.taken
            if behind or not kept.whole:
                behind += 1
            else:
                self._repository.remember(page)
                if page.items:
                    upto = page.items[-1].updated_at
                    if not waits():
                        self._gate.read_up_to(what, upto)
            if not page.is_full or not page.items or behind > BEHIND:
                return moved, upto
            last = page.items[-1].updated_at
            # Where more than a page of them has one and the same time, it is turned.
            goes_on = self._gate.seconds(last) > self._gate.seconds(since)
            since, number = (last, 1) if goes_on else (since, number + 1)

    # -- issues --------------------------------------------------------------------------------

    def _issues(self, issues: Iterable[Issue], closed: list[Issue]) -> Kept:
        taken: list[Taken] = []
        for issue in issues:
            if issue.pull_request:
                continue
            digest = digest_of(issue.state, issue.title, issue.body or "")
            if not self._gate.is_news(spot_name(issue.number, 0), digest):
                continue
            if issue.state == "closed":
                closed.append(issue)
                self._own(issue.login, issue.body, issue.number, 0)
            elif (found := self._message(issue, digest)) is not None:
                taken.append(found)
            else:
                self._gate.was_read(spot_name(issue.number, 0), digest)
        return self._take(taken)

    def _message(self, issue: Issue, digest: bytes) -> Taken | None:
        spot = self._origin(issue, issue.number, 0)
        block = issue_blocks.find(issue.body or "")
        written = issue_people.issue(issue.title, issue.body or "") if block is None else None
        return self._one(spot, block, written, digest)

    def _closed(self, issues: Iterable[Issue]) -> int:
        """An issue of ours that somebody closed whose word counts is a message that is done."""
        acks = [ack for issue in issues if (ack := self._end_of(issue)) is not None]
        if acks:
            self._gate.take_acks(acks)
        for issue in issues:
            digest = digest_of(issue.state, issue.title, issue.body or "")
            self._gate.was_read(spot_name(issue.number, 0), digest)
        return len(acks)

    def _end_of(self, issue: Issue) -> Ack | None:
        spot = self._gate.spot_at(issue.number)
        if spot is not None and self._gate.is_open_notice(spot):
            if self._gate.trusts(by := self._closer(issue)):
                self._gate.escalation_closed(spot, login=by)
            return None
        if spot is None or not spot.ours or self._gate.is_done(spot):
            return None
        if not self._gate.trusts(by := self._closer(issue)):
            return None
        status = "rejected" if issue.state_reason == "not_planned" else "done"
        note = f"the issue was closed on GitHub by {by}"
        agent = self._gate.recipient(spot)
        return Ack(sender=agent, to=spot.sender, re=spot.id, status=status, outcome=status, note=note)

    def _closer(self, issue: Issue) -> str:
        if issue.closed_by is not None:
            return issue.closed_by.login
        try:
            whole = self._repository.issue(issue.number)
        except Declined:
            return ""
        return whole.closed_by.login if whole.closed_by else ""

    # -- comments ------------------------------------------------------------------------------

    def _comments(self, comments: Iterable[Comment]) -> Kept:
        taken: list[Taken] = []
        for comment in comments:
            digest = digest_of(comment.body or "")
            spot = spot_name(comment.number, comment.id)
            if not comment.number or not self._gate.is_news(spot, digest):
                continue
            origin = self._origin(comment, comment.number, comment.id)
            block = issue_blocks.find(comment.body or "")
            written = issue_people.comment(comment.body or "") if block is None else None
            if (found := self._one(origin, block, written, digest)) is not None:
                taken.append(found)
            else:
                self._gate.was_read(spot, digest)
        return self._take(taken)

    # -- either --------------------------------------------------------------------------------

    def _take(self, taken: list[Taken]) -> Kept:
        kept = self._gate.take(taken)
        return Kept(sum(kept), all(kept))

    def _one(
        self,
        origin: Origin,
        block: tuple[Marker, Block | Broken] | None,
        written: Written | None,
        digest: bytes,
    ) -> Taken | None:
        """What a post brings as a message; what else it brings is taken at once."""
        if block is None and written is None:
            return None
        if not self._gate.trusts(origin.login):
            self._tell_of(origin)
            return None
        if block is not None:
            return self._of_block(origin, *block, digest)
        assert written is not None
        return self._of_person(origin, written, digest)

    def _of_block(self, origin: Origin, marker: Marker, block: Block | Broken, digest: bytes) -> Taken | None:
        if marker.host == self._gate.host:
            self._note_own(marker, origin.number, origin.comment)
            return None
        if isinstance(block, Broken):
            self._gate.refuse(self._found(origin, b""), block.why)
            return None
        if marker.kind == "acks":
            self._gate.take_acks(block.acks)
            return None
        if not block.raw or not self._is_for_us(marker, block):
            return None
        arrival = self._gate.arrival_of(block, self._found(origin, block.raw))
        return Taken(arrival, marker.sender, marker.id, origin.number, origin.comment, digest)

    def _is_for_us(self, marker: Marker, block: Block) -> bool:
        if marker.kind == "message" and block.way:
            return block.way == self._gate.peer.back.lower()
        # An urgent one is for whoever it is for; the others that read there are not concerned.
        try:
            message = parse(block.raw, filled=block.x, max_bytes=self._gate.max_bytes)
        except SpoolError:
            return True
        agent, _, host = message.to.partition("@")
        return self._gate.is_local(agent) and host in ("", self._gate.host)

    def _of_person(self, origin: Origin, written: Written, digest: bytes) -> Taken | None:
        if written.tag not in (self._gate.peer.back.lower(), URGENT.lower()):
            return None
        if self._gate.spot_at(origin.number, origin.comment) is not None:
            log.info("issue.edited", peer=self._gate.peer_name, number=origin.number, id=origin.id)
            return None
        found = self._found(origin, written.body.encode())
        about = self._gate.spot_at(origin.number) if origin.comment else None
        if (to := self._recipient(written, about.sender if about and about.ours else "")) is None:
            if written.tag != URGENT.lower():
                self._gate.refuse(found, "to whom? a line such as **To:** agent is missing")
            return None
        try:
            message = issue_people.message(
                written,
                origin,
                sender=self._gate.agent_of(origin.login),
                to=to,
                re=about.id if about else None,
                max_bytes=self._gate.max_bytes,
            )
        except SpoolError as exc:
            self._gate.refuse(found, exc.message)
            return None
        arrival = self._gate.arrival_by(message, found)
        return Taken(arrival, message.sender, message.id, origin.number, origin.comment, digest)

    def _recipient(self, written: Written, asked: str) -> str | None:
        """Who is meant: who is named; who asked; or who is the only one here."""
        named = written.lines.get("to", "").strip("`@ ")
        if written.tag == URGENT.lower() and named and not self._gate.is_local(named.partition("@")[0]):
            return None
        return named or asked or self._gate.only_agent()

    def _own(self, login: str, body: str | None, number: int, comment: int) -> None:
        found = issue_blocks.find(body or "")
        if found is not None and found[0].host == self._gate.host and self._gate.trusts(login):
            self._note_own(found[0], number, comment)

    def _note_own(self, marker: Marker, number: int, comment: int) -> None:
        """What this host has posted: where its own record was lost, or never made, it is made here."""
        if not marker.id:
            return
        name = spot_of(marker.id) if marker.kind == "urgent" else marker.id
        spot = self._gate.spot(marker.sender, name)
        if spot is None or spot.number is None:
            self._gate.posted(marker.sender, name, number=number, comment=comment)

    def _tell_of(self, origin: Origin) -> None:
        spot = spot_name(origin.number, origin.comment)
        if spot in self._strangers:
            return
        if len(self._strangers) >= TOLD:
            self._strangers.clear()
        self._strangers.add(spot)
        login = origin.login[:64]
        log.warning("issue.stranger", peer=self._gate.peer_name, number=origin.number, login=login)

    def _origin(self, item: Issue | Comment, number: int, comment: int) -> Origin:
        at = item.created_at or item.updated_at
        return Origin(self._repository.name, number, comment, item.login, item.html_url, at)

    def _found(self, origin: Origin, raw: bytes) -> Found:
        name = f"{origin.repository}#{spot_name(origin.number, origin.comment)}"
        return Found(name, raw, self._gate.seconds(origin.at))
