"""The tools that look: message_status, list_peers and search_messages."""

from __future__ import annotations

import heapq
import time
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from spool import terms, views
from spool.errors import BadInput
from spool.looking import ago
from spool.mcp_server import given, texts
from spool.mcp_server.answers import answering
from spool.mcp_server.given import Time
from spool.mcp_server.probing import probed
from spool.mcp_server.seat import Seat, Sitting, described
from spool.states import State
from spool.store.base import Incoming, Outgoing, PeerRow, written_at

OPEN: Final = (State.QUEUED, State.SENT, State.RECEIVED, State.READ)
# The rows of all agents here are looked through for those of one.
LOOKED_AT: Final = 2000
Listed = Literal["open", "queued", "sent", "received", "read", "done", "dead", "overdue"]


class Looking:
    """What a client may look at; nothing here changes a message."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    @answering
    def message_status(
        self,
        message_id: str | None = None,
        state: Listed = "open",
        limit: Annotated[int, Field(ge=1, le=50)] = 20,
    ) -> str:
        """How far a message got: its history, attempts, last error.

        Without message_id: what you sent, by state.
        """
        with self.seat.sit() as sitting:
            if message_id is None:
                return sent_text(sitting, state, limit=limit)
            return trace_text(sitting, message_id)

    @answering
    def list_peers(
        self,
        probe: Annotated[bool, Field(description="try each now, up to 25 s")] = False,
    ) -> str:
        """Who can be written to: agents here, other hosts, how they stand, when last heard of, what waits."""
        with self.seat.sit() as sitting:
            view = peers_view(self.seat, sitting)
            if probe:
                found = probed(sitting.spool)
                view["peers"] = [each | {"probe": found[each["name"]]} for each in view["peers"]]
            return peers_text(view)

    @answering
    def search_messages(
        self,
        query: Annotated[str | None, Field(description='words; "a phrase"; begin*')] = None,
        sender: str | None = None,
        to: str | None = None,
        thread_id: Annotated[str | None, Field(description="list this thread, without a query")] = None,
        since: Time | None = None,
        limit: Annotated[int, Field(ge=1, le=30)] = 10,
    ) -> str:
        """Find your mail, sent and received, old and new, that has all the words; or a whole thread."""
        if (query is None) == (thread_id is None):
            raise BadInput("query and thread_id", hint="give one of them")
        with self.seat.sit() as sitting:
            if thread_id is not None:
                return thread_text(sitting, thread_id, limit=limit)
            assert query is not None
            rows = _search(sitting, query, sender, to, given.past("since", since), limit)
            if not rows:
                return "No message of yours fits."
            listed = texts.listing(rows, now=time.time(), terms=terms.parse(query))
            return f"{len(rows)} found, the newest first.\n{listed}"


def trace_text(sitting: Sitting, id: str) -> str:
    """One message's history, and who carries it where it is still on its way."""
    row = given.own(sitting, id)
    view = views.trace(sitting.spool, row.id)
    lines = [texts.heading(row, now=time.time()), *texts.history(view)]
    if isinstance(row, Outgoing) and row.state in OPEN[:2]:
        if row.peer in sitting.spool.config.peers:
            carrier, warnings = sitting.spool.outlook(row.peer)
            lines += ["", f"Carried by: {carrier}.", *warnings]
        lines.append(f"It ends undelivered at {views.when(row.expires_at)}.")
    return "\n".join(lines)


def sent_text(sitting: Sitting, state: Listed, *, limit: int) -> str:
    """What this agent sent and is in a state, headers and beginnings."""
    now = time.time()
    states = OPEN if state in ("open", "overdue") else (State(state),)
    with sitting.spool.store.read() as tx:
        every = tx.outbox.pending(limit=LOOKED_AT, states=states)
    mine = [row for row in every if row.sender == sitting.agent and row.origin is None]
    if state == "overdue":
        mine = [row for row in mine if views.is_overdue(row, now)]
    if not mine:
        return f"Nothing that {sitting.agent} sent is {state}."
    return f"{len(mine)} that {sitting.agent} sent, {state}.\n{texts.listing(mine[:limit], now=now)}"


def overdue_text(sitting: Sitting, *, limit: int) -> str:
    """What has no answer past its deadline, on either side."""
    now = time.time()
    with sitting.spool.store.read() as tx:
        sent = tx.outbox.pending(limit=LOOKED_AT, states=OPEN)
    mine: list[Incoming | Outgoing] = [row for row in sent if row.sender == sitting.agent]
    mine += sitting.spool.inbox(agent=sitting.agent, limit=LOOKED_AT)
    late = [row for row in mine if views.is_overdue(row, now)]
    if not late:
        return f"Nothing of {sitting.agent} is overdue."
    return f"{len(late)} overdue: an answer was wanted by now.\n{texts.listing(late[:limit], now=now)}"


def thread_text(sitting: Sitting, id: str, *, limit: int) -> str:
    """A thread, its newest messages, the oldest of them first."""
    rows = sitting.spool.thread(id, agent=sitting.agent, limit=limit)
    return f"The newest {len(rows)} of the thread, oldest first.\n{texts.listing(rows, now=time.time())}"


def peers_view(seat: Seat, sitting: Sitting) -> dict[str, Any]:
    """Agents of this host, other sessions of this mailbox, and every peer."""
    spool, now = sitting.spool, time.time()
    here = [name for name in spool.config.host.agents if "*" not in name]
    with spool.store.read() as tx:
        waiting, rows = tx.outbox.waiting(), tx.peers.all()
    return {
        "you": sitting.agent,
        "host": spool.config.host.name,
        "sessions_beside_yours": [described(each, now=now) for each in seat.others(sitting)],
        "agents_here": [_bare(views.presence(spool, name, "")) for name in here],
        "peers": [
            _bare(views.peer_status(spool, peer, rows.get(name) or PeerRow(name=name), waiting.get(name, 0)))
            | {"may_have": list(peer.agents), "last_contact_ago": _since(rows.get(name), now)}
            for name, peer in spool.config.peers.items()
        ],
    }


def peers_text(view: dict[str, Any]) -> str:
    """The same as JSON; where it would be too long, the longest parts lose their ends, which are counted."""
    parts = [
        view["agents_here"],
        view["peers"],
        *(peer["agents"] for peer in view["peers"] if "agents" in peer),
    ]
    while len((text := texts.as_json(view)).encode()) > texts.MOST_BYTES and (longest := max(parts, key=len)):
        kept = len(longest) // 2
        view["left_out"] = view.get("left_out", 0) + len(longest) - kept
        del longest[kept:]
    return text


def _bare(value: Any) -> Any:
    """Without addresses, which no agent needs, and without what says nothing."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _bare(each) for name, each in value.items() if name != "url"}
    return {name: each for name, each in kept.items() if each not in (None, [], {})}


def _since(row: PeerRow | None, now: float) -> str:
    if row is None or row.last_contact is None:
        return "never reached"
    return ago(now - row.last_contact)


def _search(
    sitting: Sitting, query: str, sender: str | None, to: str | None, since: float | None, limit: int
) -> list[Incoming | Outgoing]:
    """What this agent sent, and what it was sent; others' mail on this host is not its own."""
    spool, agent = sitting
    found: list[list[Incoming | Outgoing]] = []
    if sender in (None, agent):
        found.append(spool.search(query, sender=agent, recipient=to, since=since, limit=limit))
    if to is None or to.partition("@")[0] == agent:
        found.append(spool.search(query, sender=sender, recipient=agent, since=since, limit=limit))
    newest = heapq.merge(*found, key=written_at, reverse=True)
    return list({(row.id, row.sender): row for row in newest}.values())[:limit]
