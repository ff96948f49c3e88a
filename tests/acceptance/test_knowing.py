"""Knowing that mail is carried: a consumer that is gone is heard of, no config is ever half in force."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spool.config_edit import add_agent
from tests.hosts import ROOT, Host, dials_by_exec, hosts, until
from tests.mail import generation, linked, peer_row

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """`near` dials `far` through a command."""
    with hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far):
        dials_by_exec(near, far, near_agents=["nia"], far_agents=["fay"])
        yield near, far


def subjects(host: Host, agent: str) -> list[str]:
    """What lies unread for an agent."""
    return sorted(each["subject"] for each in host.json("inbox", "--agent", agent))


def arrives(host: Host, agent: str, subject: str) -> None:
    """Wait until a message is there."""

    def there() -> bool:
        with host.api(agent) as spool, spool.store.read() as tx:
            return any(f'"{subject}"'.encode() in row.raw for row in tx.inbox.open(agent, limit=100))

    until(there, what=f"{subject} did not arrive")


def edit(host: Host, change: Callable[[str], str]) -> None:
    """Change the text of a config in one go, as an editor that renames does."""
    path = host.home / "spool.toml"
    before = path.read_text()
    assert change(before) != before
    draft = path.with_name("draft")
    draft.write_text(change(before))
    draft.rename(path)


def changes(host: Host, event: str = "config.changed") -> int:
    """How often the log says so."""
    return len(host.log(event))


# -- a consumer that is gone ------------------------------------------------------------------


def test_a_killed_consumer_is_heard_of_and_a_new_one_goes_on(pair: tuple[Host, Host]) -> None:
    """`send` says so, `status --check` fails, the log's silence shows; restarted, all goes on."""
    near, far = pair
    consumer = near.start()
    until(lambda: linked(near, "far"))
    assert near.cli("status", "--check").stdout.startswith("ok")
    consumer.kill()

    sent = near.cli("send", "fay", "-s", "while nobody carries")

    assert "no consumer runs here: `spool up --detach` starts one" in sent.stderr
    told = near.cli("status", "--check", check=1).stdout
    assert "no consumer runs and 1 wait for far: `spool up --detach`" in told
    path = near.home / "log" / "spool.jsonl"
    os.utime(path, (time.time() - 600, time.time() - 600))
    assert "last word in the log 10 min ago" in near.cli("status").stdout
    assert "silent for 10 min, no consumer runs" in near.cli("log").stderr
    doctor = near.cli("doctor", "--quick", check=1).stdout
    assert "none runs here and 1 wait to be carried" in doctor

    near.start()
    arrives(far, "fay", "while nobody carries")
    until(lambda: near.cli("status", "--check", check=None).returncode == 0)
    assert near.cli("log").stderr == ""


def test_acknowledgements_that_nobody_carries_are_stuck_too(pair: tuple[Host, Host]) -> None:
    """Their sender would wait for a word that lies here."""
    near, far = pair
    consumer = near.start()
    until(lambda: linked(near, "far"))
    far.cli("send", "nia", "-s", "for you")
    arrives(near, "nia", "for you")
    consumer.kill()
    (letter,) = near.json("inbox")
    near.cli("done", letter["id"])
    assert "wait for far" in near.cli("status", "--check", check=1).stdout
    near.start()
    until(lambda: near.cli("status", "--check", check=None).returncode == 0)


def test_alive_has_the_counts_of_status(pair: tuple[Host, Host]) -> None:
    """Who has only the log knows what `status` would say."""
    near, _ = pair
    near.start()
    until(lambda: near.log("consumer.alive") != [])
    (told,) = near.json("status")
    (alive,) = near.log("consumer.alive")
    assert told.keys() & {"outbox", "inbox", "quarantine", "overdue"} <= alive.keys()


# -- a config that changes --------------------------------------------------------------------


def test_an_agent_that_is_added_is_known_to_both_sides(pair: tuple[Host, Host]) -> None:
    """At the host that is dialled, to its far end and to who learnt its agents from its hello."""
    near, far = pair
    edit(near, lambda text: text.replace('agents = ["fay"]\n', ""))
    near.start()
    until(lambda: peer_row(near, "far").far_agents == ["fay"])

    add_agent(far.home, "flo")

    until(lambda: peer_row(near, "far").far_agents == ["fay", "flo"])
    near.cli("send", "flo", "-s", "welcome")
    arrives(far, "flo", "welcome")


def test_an_agent_that_is_added_where_the_consumer_runs(pair: tuple[Host, Host]) -> None:
    """The far side is told, though its link was up."""
    near, far = pair
    edit(far, lambda text: text.replace('agents = ["nia"]\n', ""))
    near.start()
    until(lambda: peer_row(far, "near").far_agents == ["nia"])
    before = generation(near, "far")

    add_agent(near.home, "ned")

    until(lambda: peer_row(far, "near").far_agents == ["nia", "ned"])
    assert generation(near, "far") == before + 1
    far.cli("send", "ned", "-s", "welcome")
    arrives(near, "ned", "welcome")


def test_a_new_name_of_the_host_reaches_the_other_side_and_the_log(pair: tuple[Host, Host]) -> None:
    """Never the old name here and the new one there."""
    near, far = pair
    near.start()
    until(lambda: peer_row(far, "near").far_host == "near")

    edit(near, lambda text: text.replace('name = "near"', 'name = "renamed"'))

    until(lambda: peer_row(far, "near").far_host == "renamed" and linked(far, "near"))
    assert near.log("link.up")[-1]["host"] == "renamed"
    far.cli("send", "nia@renamed", "-s", "by its new name")
    arrives(near, "nia", "by its new name")


def test_a_peer_that_moved_is_dialled_where_it_is_now(pair: tuple[Host, Host], tmp_path: Path) -> None:
    """What waits goes to the new place, the old link is gone."""
    near, far = pair
    moved = Host(tmp_path, "moved", "fay")
    moved.peer("near", agents=["nia"])
    near.start()
    until(lambda: linked(near, "far"))

    command = shlex.join(["env", f"PYTHONPATH={ROOT}", *moved.serve_command("near")])
    near.peer("far", url=f"exec:{command}")

    until(lambda: peer_row(near, "far").far_host == "moved")
    near.cli("send", "fay", "-s", "to the new place")
    arrives(moved, "fay", "to the new place")
    assert subjects(far, "fay") == []
    until(lambda: not linked(far, "near"))


def test_a_files_peer_whose_folders_change(tmp_path: Path) -> None:
    """What is sent next lies in the new folder; what comes there is taken."""
    folders = {name: tmp_path / name for name in ("in1", "out1", "in2", "out2")}
    for folder in folders.values():
        folder.mkdir()
    with hosts(tmp_path, near=["nia"]) as (near,):
        one = {"inbox": str(folders["in1"]), "outbox": str(folders["out1"])}
        near.peer("files", url="dir:", agents=["shell"], **one)
        near.start()
        near.cli("send", "shell", "-s", "first")
        until(lambda: list(folders["in1"].glob("*.json")) != [])

        near.peer("files", inbox=str(folders["in2"]), outbox=str(folders["out2"]), mode="0640")

        until(lambda: changes(near) > 0)
        near.cli("send", "shell", "-s", "second")
        # The first one, too: what was published elsewhere may never be found there.
        until(lambda: len(list(folders["in2"].glob("*.json"))) == 2)
        assert {path.stat().st_mode & 0o777 for path in folders["in2"].glob("*.json")} == {0o640}
        (folders["out2"] / "a.json").write_text('{"from":"shell","to":"nia","subject":"from there"}')
        arrives(near, "nia", "from there")


def test_limits_that_change_hold_for_what_comes_next(pair: tuple[Host, Host]) -> None:
    """On the side that is dialled, too, whose process has been there for long."""
    near, far = pair
    for host in (near, far):
        edit(host, lambda text: text.replace("[host]", "[host]\nmax_message_bytes = 300000"))
    near.start()
    until(lambda: linked(near, "far"))
    edit(far, lambda text: text.replace("max_message_bytes = 300000", "low_water_mb = 1000000000"))
    until(lambda: changes(far) > 0)
    id = near.cli("send", "fay", "-s", "no room").stdout.strip()
    until(lambda: near.json("trace", id)[0]["events"][-1]["detail"] or "", what="it was not deferred")
    assert near.json("trace", id)[0]["state"] == "queued"

    edit(far, lambda text: text.replace("low_water_mb = 1000000000", "low_water_mb = 1"))

    until(lambda: changes(far) > 1)
    arrives(far, "fay", "no room")
    big = near.cli("send", "fay", "-s", "big", "-b", "x" * 120_000).stdout.strip()
    until(lambda: near.json("trace", big)[0]["state"] == "dead")


def test_a_peer_that_is_removed_is_let_in_no_more(pair: tuple[Host, Host]) -> None:
    """Its link ends at once, though it was up; the one that dials is told why."""
    near, far = pair
    near.start()
    until(lambda: linked(near, "far"))

    edit(far, lambda text: text.partition("[peers.near]")[0])

    until(lambda: near.peer_state("far") == "stopped")
    assert peer_row(near, "far").error_kind == "not_authorised"
    assert "spool peer resume far" in near.cli("status", "--check", check=1).stdout


def test_a_bad_config_keeps_the_old_one_and_everybody_says_so(pair: tuple[Host, Host]) -> None:
    """The log, `status`, `doctor`; the mail goes on, and so does the rest once it is right."""
    near, far = pair
    near.start()
    until(lambda: linked(near, "far"))
    before = generation(near, "far")

    edit(near, lambda text: text + "colour = 3\n")

    until(lambda: changes(near, "config.bad") > 0)
    assert "colour" in near.cli("status", check=1).stderr
    doctor = near.cli("doctor", "--quick", check=1).stdout
    assert "keeps its old config" in doctor and "colour" in doctor.splitlines()[0]
    far.cli("send", "nia", "-s", "mail goes on")
    until(lambda: far.json("outbox")[0]["state"] == "received")

    edit(near, lambda text: text.replace("colour = 3\n", ""))

    until(lambda: changes(near) > 0)
    assert near.cli("status", "--check").stdout.startswith("ok")
    assert "mail goes on" in subjects(near, "nia")
    assert generation(near, "far") == before
