"""Presence that does not lie: who was last heard of when, what waits where, and as told how long ago."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import living, sessions, sweep, telling, views, whereabouts
from spool.api import Spool
from spool.cli import agents_text
from spool.store.base import Heard, Session, Unread
from spool.transports import frames
from spool.transports.frames import AgentNow
from tests.desk import Turned, arrive, clocked, make_home, told

HOUR = 3600.0
START = 1_000_000.0
SCRIPTS = '\n[peers.scripts]\nurl = "dir:"\ninbox = "/i"\noutbox = "/o"\nagents = ["sh-*"]\n'


@pytest.fixture
def now() -> Turned:
    """A clock to turn."""
    return Turned(START)


@pytest.fixture
def spool(tmp_path: Path, now: Turned) -> Iterator[Spool]:
    """A host with two agents; it has reached the peer `cloud` once."""
    home = make_home(tmp_path, "me", "other", host="")
    with (home / "spool.toml").open("a") as file:
        file.write(SCRIPTS)
    with clocked(home, now, agent="me") as made:
        with made.store.write(sync=False) as tx:
            tx.peers.update("cloud", last_contact=START)
        yield made


def heard(spool: Spool, peer: str = "cloud") -> list[Heard]:
    """Who was heard of from a peer."""
    with spool.store.read() as tx:
        return tx.presence.heard(peer)


def tell(spool: Spool, *said: AgentNow, peer: str = "cloud") -> None:
    """A peer tells how its agents stand."""
    with spool.store.write(sync=False) as tx:
        telling.believe(tx, spool._router(), spool.config.peer(peer), said, now=spool.now())


def warned(spool: Spool, to: str) -> list[str]:
    """What `send` warns of, but for what it says of the peer itself."""
    (posted,) = spool.post([{"to": to, "subject": "x"}])
    return [line for line in views.posted(spool, posted)["warnings"] if " heard of" in line]


# -- last heard of ----------------------------------------------------------------------------


def test_a_message_is_word_of_its_agent(spool: Spool) -> None:
    """By this host's clock, and of nobody else."""
    arrive(spool, now=START + 5)
    assert heard(spool) == [Heard("cloud-1", START + 5, "message")]


def test_an_old_message_that_comes_again_is_no_word_of_its_agent(spool: Spool) -> None:
    """A host that lost our answer says it all again; its agent may be long gone."""
    arrive(spool, now=START)
    arrive(spool, now=START + HOUR)
    assert heard(spool) == [Heard("cloud-1", START, "message")]


def test_a_message_that_was_refused_is_no_word_of_its_agent(spool: Spool) -> None:
    """Nobody may make another host's agent look alive."""
    arrive(spool, "desk", now=START)
    assert heard(spool) == heard(spool, "desk") == []


def test_that_a_host_received_a_message_is_no_word_of_its_agent(spool: Spool, now: Turned) -> None:
    """What the agent read or ended is; and a second copy of that word is not."""
    id = spool.send("cloud-1", subject="x")
    told(spool, id, "received")
    assert heard(spool) == []
    now.at += 5
    told(spool, id, "read")
    assert heard(spool) == [Heard("cloud-1", START + 5, "read")]
    now.at += 5
    told(spool, id, "rejected")
    assert heard(spool) == [Heard("cloud-1", START + 10, "done")]
    now.at += HOUR
    told(spool, id, "rejected")
    assert heard(spool) == [Heard("cloud-1", START + 10, "done")]


def test_agents_here_are_heard_of_when_they_send_read_and_end(spool: Spool, now: Turned) -> None:
    """From this host's own rows, so that mail within a host says the same."""
    spool.send("cloud-1", subject="x")
    assert heard(spool, "") == [Heard("me", START, "message")]
    arrive(spool, now=START)
    now.at += 5
    spool.read(spool.inbox())
    assert heard(spool, "") == [Heard("me", START + 5, "read")]
    now.at += 5
    spool.done(["msg-in"])
    assert heard(spool, "") == [Heard("me", START + 10, "done")]


def test_a_peer_that_is_removed_takes_its_agents_along(spool: Spool) -> None:
    """Another one of that name later is another one."""
    arrive(spool)
    tell(spool, AgentNow("cloud-1", 1))
    spool.forget_peer("cloud")
    assert heard(spool) == []


def test_the_archive_run_bounds_whom_a_peer_was_heard_of(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that may speak for a pattern could make up names for ever."""
    monkeypatch.setattr(sweep, "MOST_HEARD", 3)
    for n in range(5):
        arrive(spool, id=f"msg-{n}", now=START + 10 * n, **{"from": f"cloud-{n}"})
    sweep.archive(spool.store, spool.config.host, now=START + 100)
    assert [each.agent for each in heard(spool)] == ["cloud-2", "cloud-3", "cloud-4"]


# -- telling, and being told ------------------------------------------------------------------


def test_a_host_tells_of_each_agent_of_its_own() -> None:
    """Also of those under a pattern that have mail or a session; not of one that reads here no more."""
    unread = [Unread("gone", 9, 0.0), Unread("me", 2, START - 60), Unread("team-a", 1, START + 5)]
    opened = [session("s1", "team-b")]
    assert telling.ours(["me", "you", "team-*"], unread, opened, now=START) == [
        AgentNow("me", 2, 60.0, 0),
        AgentNow("team-a", 1, 0.0, 0),
        AgentNow("team-b", 0, None, 1),
        AgentNow("you", 0, None, 0),
    ]


def test_so_many_agents_are_told_of_and_no_more() -> None:
    """Those with unread mail come first."""
    patterns = [f"a{n:03}" for n in range(100)]
    said = telling.ours(patterns, [Unread("a099", 1, START)], [], now=START)
    assert len(said) == telling.MOST == 64 and said[0].name == "a099"


def test_a_session_counts_once_however_many_parts_it_has() -> None:
    """The hooks and the MCP server of one program are one reader; what ended is none."""
    pid = os.getpid()
    same: dict[str, Any] = {"pid": pid, "born": living.born(pid)}
    opened = [session("s1", "me", **same), session("s2", "me", **same), session("s3", "me")]
    assert sessions.count([*opened, session("s4", "me", ended_at=START)], now=START) == {"me": 2}


def session(id: str, agent: str, **more: Any) -> Session:
    """A session that was just seen."""
    return Session(id=id, agent=agent, since=START, seen_at=START, **more)


def test_a_peer_is_believed_of_its_own_agents_only(spool: Spool) -> None:
    """Bad names, others' agents and ages below nothing are not taken for word of anybody."""
    names = ["cloud-1", "me", "desk-1", "cloud-\x1b[2J", "cloud-" + "x" * 80]
    tell(spool, *(AgentNow(name, 1, -5.0, 2) for name in names))
    with spool.store.read() as tx:
        (found,) = tx.presence.told("cloud")
    assert found == ("cloud-1", 1, 0.0, 2, START)


def test_so_many_agents_are_believed_and_no_more(spool: Spool) -> None:
    """A newer peer may say more, and the link must not end for it."""
    tell(spool, *(AgentNow(f"cloud-{n}", 0) for n in range(200)))
    with spool.store.read() as tx:
        assert len(tx.presence.told("cloud")) == 64


def test_who_may_not_be_spoken_for_any_more_is_not_shown(spool: Spool, now: Turned) -> None:
    """A config that gives a name to another peer counts at once."""
    arrive(spool)
    tell(spool, AgentNow("cloud-1", 1))
    names = [each.name for each in whereabouts.of_peer(spool, spool.config.peer("cloud"), now=START)]
    assert names == ["cloud-1"]

    config = spool.home / "spool.toml"
    config.write_text(config.read_text().replace("cloud-*", "cloud-2"))
    with clocked(spool.home, now) as again:
        (only,) = whereabouts.of_peer(again, again.config.peer("cloud"), now=START)
    assert only == whereabouts.Standing("cloud-2")


class OldPing(msgspec.Struct, tag_field="f", tag="ping", omit_defaults=True):
    """A ping as versions before 0007_presence.sql know it."""

    n: int
    clock: float
    echo: bool = False
    unread: int | None = None
    queued: int | None = None


def test_older_spools_read_a_ping_that_says_more() -> None:
    """And what they say is understood: that nothing was told, not that nothing is there."""
    ping = frames.Ping(1, 2.0, True, 3, 4, [AgentNow("me", 3, 5.0, 1)])
    assert msgspec.json.decode(frames.encode(ping), type=OldPing) == OldPing(1, 2.0, True, 3, 4)

    assert frames.decode(msgspec.json.encode(OldPing(1, 2.0, True, 3, 4))) == frames.Ping(1, 2.0, True, 3, 4)
    assert b"agents" not in frames.encode(frames.Ping(1, 2.0))
    newer = b'{"f":"ping","n":1,"clock":2.0,"agents":[{"name":"me","unread":1,"mood":"good"}]}'
    assert frames.decode(newer) == frames.Ping(1, 2.0, agents=[AgentNow("me", 1)])


# -- what is said of it -----------------------------------------------------------------------


def test_a_recipient_is_shown_with_the_age_of_each_word(spool: Spool, now: Turned) -> None:
    """What was told stands beside when it was told; it is not made to look fresh."""
    arrive(spool)
    tell(spool, AgentNow("cloud-1", 7, 3 * HOUR, 0))
    now.at += 180
    assert views.presence(spool, "cloud-1", "cloud") == {
        "name": "cloud-1",
        "last_heard": views.when(START),
        "heard_what": "message",
        "unread": 7,
        "oldest_unread_s": 3 * HOUR,
        "sessions": 0,
        "told_at": views.when(START),
    }


def test_of_who_was_never_told_of_nothing_is_known(spool: Spool) -> None:
    """Not zero: nothing."""
    view = views.presence(spool, "cloud-9", "cloud")
    assert view == {**dict.fromkeys(view), "name": "cloud-9"}


def test_what_waits_too_long_there_is_said_to_who_writes(spool: Spool, now: Turned) -> None:
    """The whole line, since people and agents read it."""
    arrive(spool, now=START - 6 * HOUR)
    tell(spool, AgentNow("cloud-1", 7, 3 * HOUR, 0))
    now.at += 180
    assert warned(spool, "cloud-1") == [
        "cloud-1 was last heard of 6 h ago; 7 unread there, the oldest 3 h; no session there"
        " (as told 3 min ago)"
    ]


def test_who_was_just_heard_of_and_lets_mail_lie_is_worth_a_word(spool: Spool) -> None:
    """Busy with something else, perhaps."""
    arrive(spool)
    tell(spool, AgentNow("cloud-1", 1, 601.0, 2))
    assert warned(spool, "cloud-1") == [
        "cloud-1 was last heard of 0 s ago; 1 unread there, the oldest 10 min; 2 sessions there"
        " (as told 0 s ago)"
    ]


def test_nothing_is_said_where_all_is_well(spool: Spool, now: Turned) -> None:
    """A warning with each message is read by nobody."""
    arrive(spool)
    tell(spool, AgentNow("cloud-1", 3, 599.0, 0))
    now.at += HOUR
    assert warned(spool, "cloud-1") == []


def test_a_session_that_was_told_of_just_now_is_no_silence(spool: Spool, now: Turned) -> None:
    """It waits for its person; told of long ago, it may be gone."""
    arrive(spool, now=START - 6 * HOUR)
    tell(spool, AgentNow("cloud-1", 0, None, 1))
    assert warned(spool, "cloud-1") == []
    now.at += HOUR
    (line,) = warned(spool, "cloud-1")
    assert line.endswith("nothing unread there; 1 session there (as told 1 h ago)")


def test_who_was_never_heard_of_is_said_to_be(spool: Spool) -> None:
    """Where its host was reached; else the peer's own line says enough."""
    assert warned(spool, "cloud-1") == ["cloud-1 has not been heard of yet"]
    assert warned(spool, "desk-1") == []


def test_scripts_are_not_blamed_for_what_they_cannot_tell(spool: Spool, now: Turned) -> None:
    """They have no counts, and most never say who read; what they did send has its age."""
    with spool.store.write(sync=False) as tx:
        tx.peers.update("scripts", last_contact=START)
    assert warned(spool, "sh-1") == []
    with spool.store.write(sync=False) as tx:
        tx.presence.hear("scripts", ["sh-1"], "message", now=START)
    now.at += 2 * HOUR
    assert warned(spool, "sh-1") == ["sh-1 was last heard of 2 h ago"]


def test_a_recipient_here_is_told_of_from_this_hosts_own_rows(spool: Spool, now: Turned) -> None:
    """The same line, and it is of now."""
    spool.send("other", subject="hi", agent="me")
    now.at += 2 * HOUR
    assert warned(spool, "other") == [
        "other has not been heard of yet; 2 unread here, the oldest 2 h; no session here"
    ]
    spool.read(spool.inbox(agent="other"))
    assert warned(spool, "other") == []
    now.at += 2 * HOUR
    spool.attend("s1", agent="other")
    assert warned(spool, "other") == [
        "other was last heard of 2 h ago; 2 unread here, the oldest 2 h; 1 session here"
    ]


def test_an_answer_to_a_peer_that_is_gone_says_what_is_known(spool: Spool) -> None:
    """It is stored, and `send` must not fail over a view."""
    arrive(spool)
    config = spool.home / "spool.toml"
    posted = spool.post_reply("msg-in", "yes")
    config.write_text(config.read_text().split("[peers.cloud]")[0])
    with Spool(spool.home, agent="me") as again:
        view = views.posted(again, posted)
    assert view["recipient"]["heard_what"] == "message" and "no peer any more" in view["warnings"][0]


def test_many_messages_look_at_each_recipient_once(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand to one agent here would count its mail ten thousand times."""
    looked = []
    real = whereabouts.recipient

    def counted(*args: Any, **more: Any) -> Any:
        looked.append(args[1])
        return real(*args, **more)

    monkeypatch.setattr(whereabouts, "recipient", counted)
    posted = spool.post([{"to": to, "subject": "x"} for to in ("other", "cloud-1", "other", "other")])
    assert len(list(views.posted_all(spool, posted))) == 4
    assert looked == ["other", "cloud-1"]


# -- in columns -------------------------------------------------------------------------------


def test_what_stands_under_a_peer_fits_eighty_columns(spool: Spool, now: Turned) -> None:
    """With a long name and large numbers."""
    name = "cloud-" + "x" * 12
    arrive(spool, now=START - 12 * HOUR, **{"from": name})
    tell(spool, AgentNow(name, 234, 13 * HOUR, 12), AgentNow("cloud-2", 0, None, 0))
    now.at += 180
    view = views.status(spool, now=now.at)
    (agents,) = [peer["agents"] for peer in view["peers"] if peer["name"] == "cloud"]
    text = "\n".join(agents_text.under(agents, now=now.at, indent="    ", title="agents there"))
    assert text.splitlines() == [
        "    agents there, as told 3 min ago",
        "      cloud-2             never heard of  nothing unread; no session",
        f"      {name}  heard 12 h ago  234 unread, oldest 13 h; 12 sessions",
    ]
    assert max(map(len, text.splitlines())) <= 80


def test_the_agents_of_this_host_stand_as_they_are_in_the_config(tmp_path: Path, now: Turned) -> None:
    """A pattern is all that fit it."""
    with clocked(make_home(tmp_path, "me", "team-*"), now, agent="me") as spool:
        for n, to in enumerate(["team-a", "team-b", "team-b"]):
            now.at = START + n
            spool.send(to, subject="x")
        now.at = START + HOUR
        spool.read(spool.inbox(agent="team-a"))
        me, team = whereabouts.of_host(spool, now=now.at + 60)
    assert me == ("me", START + 2, "message", 0, None, 0, now.at + 60)
    assert team[1:6] == (START + HOUR, "read", 2, HOUR + 59, 0)
    assert agents_text.here([me, team], now=now.at + 60)[1] == (
        "team-*  heard 60 s ago  2 unread, oldest 1 h; no session"
    )
