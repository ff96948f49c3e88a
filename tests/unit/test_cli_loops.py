"""`spool held` and `spool release` as a person uses them, and what an agent sees of a hold."""

from __future__ import annotations

import pytest

from spool.api import Spool
from spool.cli import loops as door
from spool.store.base import is_held
from tests.unit.test_cli import Cli, spool

__all__ = ["spool"]


def go_round(spool: Cli) -> tuple[str, str]:
    """Alice and Bob answer each other until one is held: the thread, and the id of what is held."""
    with Spool(spool.home) as desk:
        root = desk.send("bob", subject="Round and round", agent="alice")
        row_id, me, you = root, "bob", "alice"
        for _ in range(40):
            posted = desk.post([{"from": me, "to": you, "subject": "again", "re": row_id}])[0]
            if posted.held:
                return root, posted.id
            row_id, me, you = posted.id, you, me
    raise AssertionError("nothing was held")


def test_what_is_held_is_listed_and_released(spool: Cli) -> None:
    """A line for a person, an object for a script; then it arrives."""
    thread, id = go_round(spool)

    line = spool.ok("held")
    assert line.startswith(f"{thread}  bob to alice  1 message held for ") and "after 16 turns" in line
    (view,) = spool.json("held")
    assert (view["thread"], view["agent"], view["with"], view["turns"], view["messages"]) == (
        thread,
        "bob",
        "alice",
        16,
        [id],
    )
    assert spool.ok("release", thread, "--yes") == f"{thread}: 1 message of bob released\n"
    assert id in spool.ok("inbox", "--agent", "alice", "--limit", "50")
    assert "nothing is held" in spool("held").stderr


def test_what_is_held_may_be_dropped(spool: Cli) -> None:
    """Named by the message as well as by the thread."""
    thread, id = go_round(spool)
    (view,) = spool.json("release", id, "--drop", "--yes")

    assert view == {"v": 1, "thread": thread, "agent": "bob", "messages": [id], "dropped": True}
    assert "dropped while it was held" in spool.ok("dead", "list")


def test_an_agent_does_not_release_itself(spool: Cli) -> None:
    """Nobody is at the terminal: nothing is done, and the line says whose work it is."""
    thread, _ = go_round(spool)
    error = spool.error("release", thread)

    assert (error["kind"], error["exit"]) == ("bad_input", 1) and "for a person" in error["message"]
    assert len(spool.json("held")) == 1
    assert "agent that releases itself" in " ".join(spool.ok("release", "--help").split())


@pytest.mark.parametrize("says", [True, False])
def test_a_person_is_asked(spool: Cli, monkeypatch: pytest.MonkeyPatch, says: bool) -> None:
    """What it is about is shown first; a no changes nothing."""
    thread, _ = go_round(spool)
    monkeypatch.setattr(door, "_at_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: says)
    done = spool("release", thread)

    assert (done.exit_code, f"{thread}  bob to alice" in done.stderr) == (0 if says else 1, True)
    assert len(spool.json("held")) == (0 if says else 1)


def test_send_says_that_it_is_held(spool: Cli) -> None:
    """Exit 0, since it is stored; the warning says what an agent is to do now. The log knows."""
    thread, _ = go_round(spool)
    done = spool("send", "alice", "-s", "again", "--thread", thread, "--agent", "bob")
    assert done.exit_code == 0 and "warning: held, not sent: bob answered 16 times" in done.stderr
    (view,) = spool.json("send", "alice", "-s", "again", "--thread", thread, "--agent", "bob")
    assert view["held"] is True and "held, not sent" in view["warnings"][0]
    assert view["id"] in spool.ok("log", "--event", "message.held", "--json")


def test_status_and_outbox_show_it(spool: Cli) -> None:
    """`status --check` fails until somebody has looked: a monitor must not sleep through it."""
    thread, id = go_round(spool)
    assert "held      1 (" in spool.ok("status")
    done = spool("status", "--check")
    assert done.exit_code == 1 and f"`spool release {thread}`" in done.stdout
    (row,) = (line for line in spool.ok("outbox").splitlines() if line.startswith(id))
    assert row.split()[2] == "held"
    assert "`spool held`" in spool("doctor", "--quick").stdout
    with Spool(spool.home) as desk:
        assert is_held(desk.sent(id))


def test_unknown_threads_are_not_found(spool: Cli) -> None:
    """Exit 4, as for any other thing that is not there."""
    assert spool("release", "msg-nothing", "--yes").exit_code == 4
