"""Messages become issues and comments, each once: whatever may stand there already is looked for first."""

from __future__ import annotations

from typing import Final

import msgspec

from spool import issue_blocks, issue_words
from spool.errors import (
    AuthRefused,
    LinkError,
    NoRepository,
    NotAuthorised,
    PeerMisconfigured,
    RateLimited,
    Unreachable,
)
from spool.issue_blocks import Marker
from spool.issue_words import TooLong
from spool.issues_gate import IssuesGate
from spool.message import Message, load
from spool.store.base import Parcel
from spool.transports.base import Deferred, Left, Outcome, Refused
from spool.transports.github.answers import Issue
from spool.transports.github.client import Repository
from spool.transports.github.http import Declined

# A list may lag behind what was posted: only what is not there then is posted again.
SETTLE_S: Final = 15.0
# After these it is sure that nothing was posted.
NOT_DONE: Final = (
    RateLimited,
    AuthRefused,
    NotAuthorised,
    NoRepository,
    PeerMisconfigured,
    Unreachable,
)
GONE: Final = (404, 410)
_HOPS: Final = msgspec.json.Decoder(list[str])


class Poster:
    """Posts what this host has for the peer."""

    def __init__(self, repository: Repository, gate: IssuesGate) -> None:
        self._repository = repository
        self._gate = gate

    def post(self, parcel: Parcel) -> Outcome:
        """Post a message, unless it stands there.

        Raises:
            LinkError: the exchange failed; whether it was posted is looked up before the next try.
        """
        message = load(parcel.raw, filled=_HOPS.decode(parcel.filled), digest=parcel.digest)
        if message.attachments:
            return Refused("files do not travel over GitHub; put them where the other side can fetch them")
        spot = self._gate.spot(parcel.sender, parcel.id)
        if spot is not None and spot.number is not None:
            if not self._gate.is_retried(spot):
                return Left(self._gate.now())
            spot = None
        number = self._gate.thread(message.re, message.thread)
        if spot is not None:
            if self._is_there(parcel, number):
                return Left(self._gate.now())
            # A time that is yet to come was noted by a clock that has been set back since.
            if 0 < (wait_s := spot.tried_at + SETTLE_S - self._gate.now()) <= SETTLE_S:
                return Deferred("its post may have come through: it is looked for once more", after_s=wait_s)
        return self._put(parcel, message, number)

    def _put(self, parcel: Parcel, message: Message, number: int | None) -> Outcome:
        marker = Marker("message", self._gate.host, parcel.sender, parcel.id)
        try:
            body = issue_words.post(message, self._line(parcel), marker)
        except TooLong as exc:
            return Refused(f"{exc}; put the bulk into a file or a gist and name it in the message")
        self._gate.intend(parcel.sender, parcel.id)
        try:
            made = self._write(parcel, message, body, number)
        except Declined as exc:
            self._gate.withdraw(parcel.sender, parcel.id)
            return Refused(f"GitHub declines it ({exc.status}): {exc}")
        except NOT_DONE:
            self._gate.withdraw(parcel.sender, parcel.id)
            raise
        if made is not None and not made.has_label(self._gate.peer.label):
            # Without its label no list finds it, neither theirs nor ours.
            raise PeerMisconfigured(
                f"{self._repository.name}: the token may not label issues",
                hint="give its account the right to triage or write there, then `spool peer resume`",
            )
        return Left(self._gate.now())

    def _write(self, parcel: Parcel, message: Message, body: str, number: int | None) -> Issue | None:
        """The issue that was made; None where it is a comment on another one."""
        if number is not None:
            try:
                comment = self._repository.comment(number, body)
                self._gate.posted(parcel.sender, parcel.id, number=number, comment=comment.id)
                return None
            except Declined as exc:
                # The thread's issue was deleted, moved or locked: the answer gets one of its own.
                if exc.status not in (*GONE, 403):
                    raise
        peer = self._gate.peer
        title = issue_words.title(peer.direction or "message", message.subject, message.body)
        labels = [peer.label, *filter(None, [peer.direction.lower()])]
        issue = self._repository.create(title=title, body=body, labels=labels)
        self._gate.posted(parcel.sender, parcel.id, number=issue.number, comment=0)
        return issue

    def _line(self, parcel: Parcel) -> str:
        return issue_blocks.of_message(
            parcel.raw,
            host=self._gate.host,
            way=self._gate.peer.direction.lower(),
            ttl_s=max(0.0, parcel.expires_at - self._gate.now()),
            filled=_HOPS.decode(parcel.filled),
            hops=_HOPS.decode(parcel.hops),
            queued_at=parcel.queued_at,
        )

    def _is_there(self, parcel: Parcel, number: int | None) -> bool:
        """Look for a message that may have been posted, as an issue and as a comment."""
        marker = Marker("message", self._gate.host, parcel.sender, parcel.id)
        since = self._gate.since("issues")
        for issue in self._repository.made_issues(label=self._gate.peer.label, since=since):
            if self._is_ours(issue.login, issue.body, marker):
                self._gate.posted(parcel.sender, parcel.id, number=issue.number, comment=0)
                return True
        if number is None:
            return False
        try:
            for comment in self._repository.made_comments(number, since=self._gate.since("comments")):
                if self._is_ours(comment.login, comment.body, marker):
                    self._gate.posted(parcel.sender, parcel.id, number=number, comment=comment.id)
                    return True
        except Declined as exc:
            if exc.status not in GONE:
                raise
        return False

    def _is_ours(self, login: str, body: str | None, marker: Marker) -> bool:
        # Anybody may copy a marker; only one of an account that counts says that it was posted.
        found = issue_blocks.find(body or "")
        return found is not None and found[0] == marker and self._gate.trusts(login)


def unsure(exc: LinkError) -> str:
    """What is said of a message whose post may have come through."""
    return f"no answer to its post: {exc.message}"
