"""A repository's issues and comments: the few calls of GitHub's API that spool makes, typed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from spool import log
from spool.clock import Clock
from spool.config import Peer, parse_github
from spool.errors import LinkLost, NotAuthorised, PeerMisconfigured
from spool.transports.github.answers import About, Comment, Issue, Rate, User
from spool.transports.github.http import Answer, Declined, Http

PER_PAGE: Final = 100
MOST_PAGES: Final = 200
_NEXT: Final = re.compile(r'<([^<>]+)>;\s*rel="next"')
_T = TypeVar("_T")


class Page(NamedTuple, Generic[_T]):
    """A page of what changed, with as many items as fit or fewer; none where nothing changed since."""

    query: str
    items: list[_T]
    is_full: bool
    etag: str


def open_repository(peer: Peer, token: Callable[[], str], clock: Clock) -> Repository:
    """Make ready to talk to a peer's repository; nothing is asked yet. Raises LinkError, BadConfig."""
    base, place = parse_github(peer)
    return Repository(Http(base, token, clock, what=place, timeout_s=peer.connect_timeout_s), base, place)


class Repository:
    """One repository. One thread uses it; `close` is for any.

    Every method raises LinkError where the exchange failed as a whole, and Declined where GitHub will not
    do this one thing.

    Attributes:
        name: `owner/repo`.
        place: what it is known by in the store: the API's host and the repository, in lower case.
    """

    def __init__(self, http: Http, base: str, name: str) -> None:
        self._http = http
        self.name = name
        self.place = f"{base.split('://', 1)[1]}/{name}".lower()
        self._root = f"/repos/{name}"
        # What a list said last, by its query; tied to the token, so kept no longer than this object.
        self._etags: dict[str, str] = {}

    def close(self) -> None:
        """End it, as often as one likes. Never raises."""
        self._http.close()

    @property
    def rate(self) -> Rate | None:
        """How many requests are left, as the last answer said."""
        return self._http.rate

    def login(self) -> str:
        """Whose token it is; "" where the token is no account's (an app's, an action's)."""
        try:
            return _decode(self._http.get("/user"), User).login
        except (Declined, NotAuthorised):
            return ""

    def about(self) -> About:
        """The repository itself.

        Raises:
            NoRepository: there is none, or the token may not see it.
            PeerMisconfigured: nobody can write issues there.
        """
        try:
            about = _decode(self._http.get(self._root), About)
        except Declined as exc:
            raise self._http.missing() from exc
        if not about.has_issues or about.archived:
            why = "it is archived" if about.archived else "issues are switched off there"
            raise PeerMisconfigured(f"{self.name}: {why}", hint="name another repository")
        return about

    # -- reading -------------------------------------------------------------------------------

    def issues(self, page: int, *, label: str, since: str) -> Page[Issue]:
        """Issues with a label that were touched since then (RFC 3339), the longest untouched first."""
        query = {"labels": label, "state": "all", "sort": "updated", "direction": "asc", "since": since}
        return self._changed(f"{self._root}/issues", query, page, Issue)

    def comments(self, page: int, *, since: str) -> Page[Comment]:
        """The same of comments, on whatever issue."""
        query = {"sort": "updated", "direction": "asc", "since": since}
        return self._changed(f"{self._root}/issues/comments", query, page, Comment)

    def remember(self, page: Page[Any]) -> None:
        """All of a page was taken: the list need not say it again."""
        if page.etag and not page.is_full:
            # One for each list: what is asked next begins later.
            path = page.query.partition("?")[0]
            self._etags = {k: v for k, v in self._etags.items() if k.partition("?")[0] != path}
            self._etags[page.query] = page.etag

    def made_issues(self, *, label: str, since: str) -> Iterator[Issue]:
        """Issues with a label, the newest first: for whoever looks for what may be there."""
        query = {"labels": label, "state": "all", "sort": "created", "direction": "desc", "since": since}
        yield from self._all(f"{self._root}/issues", query, Issue)

    @property
    def ahead_s(self) -> float:
        """By how many seconds GitHub's clock is ahead of this host's, as the last answer said."""
        return self._http.ahead_s

    def made_comments(self, number: int, *, since: str) -> Iterator[Comment]:
        """The comments on one issue. Raises Declined where there is none such."""
        path = f"{self._root}/issues/{number}/comments"
        yield from self._all(path, {"since": since}, Comment)

    def issue(self, number: int) -> Issue:
        """One issue."""
        path = f"{self._root}/issues/{number}"
        return _decode(self._of_one(lambda: self._http.get(path)), Issue)

    # -- writing -------------------------------------------------------------------------------

    def create(self, *, title: str, body: str, labels: Sequence[str]) -> Issue:
        """Make an issue. Raises NoRepository, PeerMisconfigured where no other could be made either."""
        wanted = {"title": title, "body": body, "labels": list(labels)}
        try:
            return _decode(self._http.write("POST", f"{self._root}/issues", wanted), Issue)
        except Declined as exc:
            if exc.status not in (404, 410):
                raise
            self.about()
            raise self._http.missing() from exc

    def comment(self, number: int, body: str) -> Comment:
        """Comment on an issue."""
        path = f"{self._root}/issues/{number}/comments"
        return _decode(self._of_one(lambda: self._http.write("POST", path, {"body": body})), Comment)

    def edit_comment(self, id: int, body: str) -> Comment:
        """Put another text into a comment."""
        path = f"{self._root}/issues/comments/{id}"
        return _decode(self._of_one(lambda: self._http.write("PATCH", path, {"body": body})), Comment)

    def edit(self, number: int, **changes: str) -> Issue:
        """Change `title`, `body`, `state` or `state_reason` of an issue."""
        path = f"{self._root}/issues/{number}"
        return _decode(self._of_one(lambda: self._http.write("PATCH", path, changes)), Issue)

    def _of_one(self, ask: Callable[[], Answer]) -> Answer:
        """Ask for one issue or comment: what was transferred is answered as a renamed repository is."""
        try:
            return ask()
        except PeerMisconfigured as exc:
            self.about()
            raise Declined(410, "it was transferred to another repository") from exc

    # -- lists ---------------------------------------------------------------------------------

    def _changed(self, path: str, query: dict[str, str], page: int, kind: type[_T]) -> Page[_T]:
        key = f"{path}?{sorted(query.items())}"
        asked = {**query, "per_page": str(PER_PAGE), "page": str(page)}
        # A first page may stay the same while a later one changes; only a list of one page is remembered.
        answer = self._page(path, asked, self._etags.get(key) if page == 1 else None)
        if answer.status == 304:
            return Page(key, [], False, "")
        items, count = _items(answer.body, kind)
        return Page(key, items, count >= PER_PAGE, answer.headers.get("etag", "") if page == 1 else "")

    def _all(self, path: str, query: dict[str, str], kind: type[_T]) -> Iterator[_T]:
        for page in range(1, MOST_PAGES + 1):
            answer = self._page(path, {**query, "per_page": str(PER_PAGE), "page": str(page)}, None)
            items, _ = _items(answer.body, kind)
            yield from items
            if _NEXT.search(answer.headers.get("link", "")) is None:
                return

    def _page(self, path: str, asked: dict[str, str], etag: str | None) -> Answer:
        if path not in (f"{self._root}/issues", f"{self._root}/issues/comments"):
            # One issue's list: that may be gone alone.
            return self._of_one(lambda: self._http.get(path, asked, etag=etag))
        try:
            return self._http.get(path, asked, etag=etag)
        except Declined as exc:
            if exc.status in (404, 410):
                raise self._http.missing() from exc
            raise LinkLost(f"{self.name}: cannot list: {exc}") from exc


def _items(body: bytes, kind: type[_T]) -> tuple[list[_T], int]:
    """Those that can be read, each for itself: one that cannot hides no other; and how many there are."""
    try:
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise LinkLost(f"a list that cannot be read: {str(exc)[:200]}") from exc
    read: list[_T] = []
    for raw in raws:
        try:
            read.append(msgspec.json.decode(raw, type=kind))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            log.warning("issue.unreadable", error=str(exc)[:200])
    return read, len(raws)


def _decode(answer: Answer, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise LinkLost(f"an answer that cannot be read: {str(exc)[:200]}") from exc
