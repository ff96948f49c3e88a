"""What a link says and hears: newer peers, noise before hello, and far commands that are no spool."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.dialogue import Dialogue
from tests.hosts import ENV, ROOT, Host, dials_by_exec, hosts, until
from tests.mail import await_stored, generation, linked, peer_row, rows

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near` dials `far` over a pipe; nothing runs yet."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay"])
        yield near, far


def dial(far: Host) -> Dialogue:
    """Be the dialler of a far end."""
    return Dialogue(far.serve_command("near"), env=ENV)


def test_a_newer_peer_is_understood(pair: tuple[Host, Host]) -> None:
    """Unknown frames and unknown fields in known ones are passed over; the mail in between is not."""
    _, far = pair
    with far.api() as spool, dial(far) as line:
        line.say(
            f="hello", host="near", v=9, least=1, spool="9.9", agents=["nia"], colour="red", features=["x"]
        )
        line.expect("hello")
        line.say(f="weather", n=1, items=[{"rain": True}])
        line.say(f="messages", n=2, zone="z", items=[{**line.item("nia", "fay"), "w": {"deep": [1]}}])
        (result,) = line.expect("results")["items"]
        assert (result["r"], result["final"]) == ("accepted", True)

        line.say(f="ping", n=3, clock=1.0, echo=True, battery=0.5)
        assert line.expect("pong")["n"] == 3
        answer = {"from": "fay", "id": "no-such-id", "why": "asked by a newer one"}
        line.say(f="query", n=4, items=[answer], depth=2)
        assert line.expect("answers")["items"][0]["status"] == "unknown"

        id = spool.send("nia", subject="hello")
        sent = line.expect("messages")
        assert id == sent["items"][0]["m"]["id"]
        line.say(f="results", n=sent["n"], items=[{"r": "accepted", "at": 5.0, "final": True, "stars": 5}])
        line.say(
            f="acks", n=5, items=[{"from": "nia", "to": "fay", "re": id, "status": "pondered", "mood": 1}]
        )
        line.say(f="acks", n=6, items=[{"from": "nia", "to": "fay", "re": id, "status": "done", "mood": 1}])
        until(lambda: spool.state(id) == "done")

    assert rows(far, "SELECT state FROM inbox") == [("unread",)]
    assert generation(far, "near") == 1


def test_an_answer_that_this_version_does_not_know_is_asked_for_again(pair: tuple[Host, Host]) -> None:
    """Neither lost nor dead: deferred, with what it said as the reason."""
    _, far = pair
    with far.api() as spool, dial(far) as line:
        line.say(f="hello", host="near")
        id = spool.send("nia", subject="hello")
        sent = line.expect("messages")
        line.say(f="results", n=sent["n"], items=[{"r": "maybe"}])
        until(lambda: spool.sent(id).reason is not None)
        assert "maybe" in str(spool.sent(id).reason)

        assert id == line.expect("messages")["items"][0]["m"]["id"]


def test_a_line_that_is_no_frame_ends_the_link(pair: tuple[Host, Host]) -> None:
    """With a reason in the log, and nothing stored; what came before it counts."""
    _, far = pair
    lines = [b"not json", b'{"n":1}', b'{"f":"messages","n":"one"}', b"\xff\xfe", b"[" * 100_000]
    for line in lines:
        with dial(far) as spoken:
            spoken.say(f="hello", host="near")
            spoken.say(f="messages", n=1, items=[spoken.item("nia", "fay")])
            spoken.expect("results")
            spoken.write(line + b"\n")
            spoken.ends()

    assert [(len(lines),)] == rows(far, "SELECT count(*) FROM inbox")
    assert len(lines) == len(far.log("link.down"))
    assert all("frame" in down["error"] for down in far.log("link.down"))


def test_a_far_end_that_needs_a_newer_protocol_is_told(pair: tuple[Host, Host]) -> None:
    """The far end says bye with the reason; no link comes up."""
    _, far = pair
    with dial(far) as line:
        line.say(f="hello", host="near", v=3, least=2, spool="9.9")
        bye = line.expect("bye")

    assert bye["kind"] == "version_skew" and "9.9" in bye["why"]
    assert generation(far, "near") == 0


def says(near: Host, script: str) -> None:
    """Make what `near` dials a shell script, and start its consumer."""
    near.peer("far", url="exec:" + shlex.join(["sh", "-c", script]))
    near.start()


def error(near: Host, kind: str) -> str:
    """Why the peer cannot be reached, once it is of this kind; it stays to be tried again."""
    until(lambda: peer_row(near, "far").error_kind == kind, what=f"{peer_row(near, 'far')}")
    row = peer_row(near, "far")
    assert row.state == "waiting" and row.retry_at is not None
    return str(row.error)


def test_a_dialler_that_is_too_old_says_so(pair: tuple[Host, Host]) -> None:
    """By the far hello, which names its version."""
    near, _ = pair
    hello = msgspec.json.encode({"f": "hello", "host": "far", "v": 3, "least": 2, "spool": "9.9"}).decode()
    says(near, f"echo '{hello}'; sleep 5")

    said = error(near, "version_skew")
    assert "9.9" in said and "upgrade" in said


def test_noise_before_hello_is_skipped(pair: tuple[Host, Host]) -> None:
    """What a login shell prints: a banner, an escape, a line with no end right before hello."""
    near, far = pair
    serve = f"PYTHONPATH={ROOT} exec {shlex.join(far.serve_command('near'))}"
    says(near, f"printf 'Welcome\\n\\033[1mLast login\\r\\n\\n{{}}\\nquota: 3%%> '; {serve}")

    until(lambda: linked(near, "far"), what=f"{peer_row(near, 'far')}")
    with near.api() as spool:
        await_stored(far, [spool.send("fay", subject="hello")])


def test_much_mail_right_behind_hello_is_no_noise(pair: tuple[Host, Host]) -> None:
    """A far host with a backlog begins to send as soon as it has our hello, which it has at its start."""
    near, _ = pair
    items = [Dialogue.item("fay", "nia", body="x" * 1000) for _ in range(300)]
    frames = [{"f": "hello", "host": "far"}, {"f": "messages", "n": 1, "items": items}]
    (near.home / "spoken").write_bytes(b"".join(msgspec.json.encode(frame) + b"\n" for frame in frames))
    says(near, f"echo Welcome; sleep 0.3; cat {near.home / 'spoken'}; sleep 9")

    await_stored(near, [item["m"]["id"] for item in items])
    assert near.log("link.failed") == []


def test_endless_noise_is_not_listened_to(pair: tuple[Host, Host]) -> None:
    """A bounded amount of it."""
    near, _ = pair
    says(near, "yes")

    assert "no spool" in error(near, "no_spool_there")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'bash: line 1: spool: command not found' >&2; exit 127", ["command not found", "status 127"]),
        ("echo 'This account is currently not available.'; exit 1", ["currently not", "status 1"]),
        ("kill -9 $$", ["signal 9"]),
    ],
    ids=["not found", "no shell", "killed"],
)
def test_what_is_no_spool_is_named_with_its_last_words(
    pair: tuple[Host, Host], script: str, words: list[str]
) -> None:
    """They stand in the peer's row, for `spool peer list` and `spool peer check`."""
    near, _ = pair
    says(near, script)

    said = error(near, "no_spool_there")
    assert all(word in said for word in words), said
    assert "peer check far" in said


def test_a_far_spool_that_does_not_know_us_stops_the_peer(pair: tuple[Host, Host]) -> None:
    """Only a person can mend that; it is not tried again and again."""
    near, far = pair
    near.peer("far", url="exec:" + shlex.join(["env", f"PYTHONPATH={ROOT}", *far.serve_command("stranger")]))
    near.start()

    until(lambda: peer_row(near, "far").state == "stopped")
    assert peer_row(near, "far").error_kind == "not_authorised"
    assert "stranger" in str(peer_row(near, "far").error)
    assert len(near.log("peer.stopped")) == 1


def test_a_far_home_that_is_missing_is_named(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """It may yet be made."""
    near, _ = pair
    nowhere = [sys.executable, "-m", "spool.cli", "--home", str(tmp_path / "no"), "serve", "--peer", "near"]
    near.peer("far", url="exec:" + shlex.join(["env", f"PYTHONPATH={ROOT}", *nowhere]))
    near.start()

    assert "no spool home at" in error(near, "no_spool_there")
