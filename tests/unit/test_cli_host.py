"""The command line around a host: its home, its peers, its consumer, its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import log, views
from spool.api import Spool
from spool.config import Peer
from spool.running import dial
from spool.store.base import Event
from spool.transports import frames
from spool.transports.probe import probe
from tests.hosts import ENV, Host, dials_by_exec, hosts, until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """A laptop that dials a cloud through a command."""
    with hosts(tmp_path, laptop=["alice"], cloud=["carol", "dave"]) as (laptop, cloud):
        dials_by_exec(laptop, cloud, near_agents=["alice"], far_agents=["carol", "dave"])
        yield laptop, cloud


def url_of(host: Host, peer: str) -> str:
    """The url that dials_by_exec wrote."""
    with host.api() as spool:
        return spool.config.peer(peer).url


# -- init, agent ------------------------------------------------------------------------------


def test_init_again_changes_nothing_and_adds_new_agents(tmp_path: Path) -> None:
    """A script may run it each time."""
    host = Host(tmp_path, "laptop", "alice")
    before = (host.home / "spool.toml").read_text()
    (told,) = host.json("init")
    assert (told["new"], told["host"], told["agents"]) == (False, "laptop", ["alice"])
    assert told["public_key"] == host.made.public_key
    assert (host.home / "spool.toml").read_text() == before
    assert host.json("init", "--agent", "alice", "--agent", "bob")[0]["agents"] == ["alice", "bob"]
    assert [each["agent"] for each in host.json("agent", "list")] == ["alice", "bob"]
    assert "not 'other'" in host.cli("init", "--name", "other", check=1).stderr


def test_a_new_home_is_nobody_elses_to_read(tmp_path: Path) -> None:
    """Whatever umask the caller has."""
    subprocess.run(
        f"umask 000; {sys.executable} -m spool.cli init --home {tmp_path}/new --name x --agent a",
        shell=True,
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )
    for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]:
        assert path.stat().st_mode & 0o022 == 0, path
    assert (tmp_path / "new" / "keys" / "id_ed25519").stat().st_mode & 0o777 == 0o600


def test_agents_come_and_go(tmp_path: Path) -> None:
    """Names are checked; comments in the config stay."""
    host = Host(tmp_path, "laptop", "alice")
    host.cli("agent", "add", "bob-*")
    assert [each["changed"] for each in host.json("agent", "add", "bob-*")] == [False]
    assert "not an agent's name" in host.cli("agent", "add", "no name", check=1).stderr
    host.cli("agent", "remove", "bob-*")
    assert host.cli("agent", "remove", "bob-*", check=1).stderr.startswith("spool: no agent")
    assert (host.home / "spool.toml").read_text().startswith("# spool:")


# -- peers ------------------------------------------------------------------------------------


def test_peer_add_takes_the_agents_that_the_hello_names(pair: tuple[Host, Host]) -> None:
    """Shown and stored; the same again changes nothing."""
    laptop, _ = pair
    url = url_of(laptop, "cloud")
    laptop.cli("peer", "remove", "cloud", "--authorized-keys", str(laptop.home / "none"))
    (told,) = laptop.json("peer", "add", "cloud", url)
    assert (told["changed"], told["reachable"], told["agents"]) == (True, True, ["carol", "dave"])
    before = (laptop.home / "spool.toml").read_bytes()
    (told,) = laptop.json("peer", "add", "cloud", url)
    assert (told["changed"], told["agents"]) == (False, ["carol", "dave"])
    assert (laptop.home / "spool.toml").read_bytes() == before
    (row,) = laptop.json("peer", "list")
    assert (row["name"], row["state"], row["agents"]) == ("cloud", "waiting", ["carol", "dave"])


def test_a_peer_that_does_not_answer_is_added_with_a_warning(tmp_path: Path) -> None:
    """It may be up tomorrow."""
    host = Host(tmp_path, "laptop", "alice")
    done = host.cli("peer", "add", "cloud", "exec:false")
    assert "does not work yet" in done.stderr
    assert host.json("peer", "add", "cloud", "exec:false", "--agents", "carol")[0]["reachable"] is False
    assert host.json("peer", "list")[0]["agents"] == ["carol"]


@pytest.mark.parametrize(
    ("name", "url", "says"),
    [
        ("cloud", "ftp://host", "knows no ftp: peers"),
        ("cloud", "gopher://x", "knows no gopher: peers"),
        ("no name", "exec:true", "is not a name"),
        ("cloud", "ssh://", "ssh://user@host"),
    ],
)
def test_a_peer_that_cannot_be_is_not_written(tmp_path: Path, name: str, url: str, says: str) -> None:
    """The config stays as it was."""
    host = Host(tmp_path, "laptop", "alice")
    before = (host.home / "spool.toml").read_bytes()
    assert says in host.cli("peer", "add", name, url, check=1).stderr
    assert (host.home / "spool.toml").read_bytes() == before


def test_peer_check_names_the_step_that_fails(pair: tuple[Host, Host]) -> None:
    """With the steps before it, and what to do."""
    laptop, cloud = pair
    assert [(s["step"], s["ok"]) for s in laptop.json("peer", "check", "cloud")] == [
        ("spool answers", True),
        ("hello", True),
    ]
    cloud.cli("peer", "remove", "laptop", "--authorized-keys", str(cloud.home / "none"))
    steps = laptop.json("peer", "check", "cloud", check=1)
    assert [(s["step"], s["ok"]) for s in steps] == [("spool answers", True), ("hello", False)]
    assert "spool peer authorize laptop" in steps[-1]["detail"]


def test_peer_check_leaves_a_live_link_alone(pair: tuple[Host, Host]) -> None:
    """From both ends; and a hello that is only read takes nothing over."""
    laptop, cloud = pair
    laptop.start()
    until(lambda: laptop.peer_state("cloud") == "linked")
    assert laptop.json("peer", "check", "cloud")[0]["step"] == "link"
    assert cloud.json("peer", "check", "laptop")[0]["ok"] is True
    with laptop.api() as spool:
        peer = spool.config.peer("cloud")
        generation = spool.peer_row("cloud").generation
        heard = probe(dial(peer, laptop.home, as_name="laptop"), peer="cloud", timeout_s=20, now=time.time)
        assert heard.hello.agents == ["carol", "dave"]
        assert abs(heard.ahead_s) < 5
        assert spool.peer_row("cloud").generation == generation
    with cloud.api() as spool:
        assert spool.peer_row("laptop").generation == generation
    assert laptop.peer_state("cloud") == "linked"


def test_peer_resume_makes_a_stopped_peer_wait_again(pair: tuple[Host, Host]) -> None:
    """And says so in the log."""
    laptop, _ = pair
    with laptop.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", state="stopped", failures=3, error="its key changed", retry_at=None)
    assert "its key changed" in laptop.cli("status", "--check", check=1).stdout
    assert laptop.json("peer", "resume", "cloud")[0]["resumed"] is True
    with laptop.api() as spool:
        row = spool.peer_row("cloud")
    assert (row.state, row.failures, row.error) == ("waiting", 0, None)
    assert [each["peer"] for each in laptop.log("peer.resumed")] == ["cloud"]


def test_peer_authorize_lets_a_key_run_serve_and_nothing_else(tmp_path: Path) -> None:
    """Twice is once; the peer is added."""
    with hosts(tmp_path, laptop=["alice"], cloud=["carol"]) as (laptop, cloud):
        keys = tmp_path / "ssh" / "authorized_keys"
        pub = laptop.home / "keys" / "id_ed25519.pub"
        args = ("peer", "authorize", "laptop", str(pub), "--authorized-keys", str(keys))
        assert cloud.json(*args)[0]["changed"] is True
        assert cloud.json(*args)[0]["changed"] is False
        (line,) = keys.read_text().splitlines()
        assert line.startswith('restrict,command="') and f"--home {cloud.home} serve --peer laptop" in line
        assert cloud.json("peer", "list")[0]["state"] == "dials-us"
        printed = cloud.cli("peer", "authorize", "other", "-", "--print", stdin=pub.read_text()).stdout
        assert printed.startswith("restrict,command=") and keys.read_text().count("\n") == 1
        assert "private key" in cloud.cli("peer", "authorize", "x", str(pub.with_suffix("")), check=1).stderr
        cloud.cli("peer", "remove", "laptop", "--authorized-keys", str(keys))
        assert keys.read_text() == ""


def test_a_peer_with_waiting_mail_is_not_removed_by_mistake(pair: tuple[Host, Host]) -> None:
    """With --yes that mail dies, with the reason."""
    laptop, _ = pair
    id = laptop.cli("send", "carol", "-s", "x").stdout.strip()
    keys = ("--authorized-keys", str(laptop.home / "none"))
    assert "1 messages wait" in laptop.cli("peer", "remove", "cloud", *keys, check=1).stderr
    assert laptop.json("peer", "remove", "cloud", "--yes", *keys)[0]["dead"] == [id]
    assert laptop.json("dead", "list")[0]["reason"] == "peer cloud was removed"
    assert laptop.json("peer", "list") == []


# -- serve ------------------------------------------------------------------------------------


def serve(host: Host, peer: str) -> subprocess.Popen[bytes]:
    """The far end of a link, with us as the dialler."""
    return subprocess.Popen(
        host.serve_command(peer),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_serve_says_bye_to_a_stranger(pair: tuple[Host, Host]) -> None:
    """In a frame, for the dialler, and on stderr, for whoever reads its last words."""
    _, cloud = pair
    out, err = serve(cloud, "stranger").communicate(timeout=20)
    (line,) = out.splitlines()
    bye = frames.decode(line)
    assert isinstance(bye, frames.Bye)
    assert bye.kind == "not_authorised" and "spool peer authorize stranger" in bye.why
    assert err.decode().startswith("spool: cloud has no peer called stranger")


def test_serve_without_a_home_says_bye(tmp_path: Path) -> None:
    """The dialler learns why, not only that it ended."""
    host = Host(tmp_path, "laptop", "alice")
    host.home = tmp_path / "none"
    process = serve(host, "cloud")
    out, _ = process.communicate(timeout=20)
    bye = frames.decode(out.splitlines()[0])
    assert isinstance(bye, frames.Bye) and bye.kind == "not_initialised"
    assert process.returncode == 1


def test_serve_ends_well_when_the_dialler_goes(pair: tuple[Host, Host]) -> None:
    """That is how every link ends."""
    _, cloud = pair
    process = serve(cloud, "laptop")
    out, err = process.communicate(timeout=20)
    assert isinstance(frames.decode(out.splitlines()[0]), frames.Hello)
    assert (process.returncode, err) == (0, b"")


def test_serve_ends_tidily_on_sigterm(pair: tuple[Host, Host]) -> None:
    """Its announcement is gone with it."""
    _, cloud = pair
    process = serve(cloud, "laptop")
    assert process.stdout is not None and process.stdin is not None
    process.stdout.readline()
    process.stdin.write(frames.encode(frames.Hello("laptop", dials=True)))
    process.stdin.flush()
    until(lambda: cloud.peer_state("laptop") == "linked")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert list((cloud.home / "run").glob("*.live")) == []
    process.communicate()


# -- the consumer -----------------------------------------------------------------------------


def test_up_down_and_restart(pair: tuple[Host, Host]) -> None:
    """Each says what it found and what it did; again is no error."""
    laptop, _ = pair
    assert "no consumer runs here" in laptop.cli("down").stdout
    try:
        (told,) = laptop.json("up", "--detach")
        pid = told["pid"]
        assert laptop.json("up")[0]["pid"] == pid
        assert laptop.json("status")[0]["pid"] == pid
        id = laptop.cli(
            "send", "carol", "-s", "x", "--wait-for", "received", "--timeout", "20"
        ).stdout.strip()
        (told,) = laptop.json("trace", id)
        assert [(e["state"], e["host"]) for e in told["events"]] == [
            ("queued", "laptop"),
            ("sent", "laptop"),
            ("received", "cloud"),
        ]
        assert told["events"][-1]["detail"].startswith("known here 2")
        assert [line["running"] for line in laptop.json("restart")] == [False, True]
        assert laptop.json("status")[0]["pid"] not in (None, pid)
    finally:
        laptop.cli("down")
    assert laptop.json("status")[0]["running"] is False


def test_up_in_the_foreground_is_the_consumer(pair: tuple[Host, Host]) -> None:
    """The same process, ended by a signal."""
    laptop, _ = pair
    process = subprocess.Popen(
        [*laptop.serve_command("x")[:3], "--home", str(laptop.home), "up"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: laptop.json("status")[0]["pid"] == process.pid)
    finally:
        process.terminate()
        process.wait(30)


def test_up_detach_says_why_it_did_not_start(tmp_path: Path) -> None:
    """The last lines of what it said."""
    host = Host(tmp_path, "laptop", "alice")
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), ENV["PYTHONPATH"]])
    done = host.cli("up", "--detach", check=1, env={"PYTHONPATH": path})
    assert "No module named" in done.stderr


def test_up_once_says_what_became_of_each_peer(pair: tuple[Host, Host]) -> None:
    """For cron: exit 1 where one could not be reached."""
    laptop, cloud = pair
    id = laptop.cli("send", "carol", "-s", "x").stdout.strip()
    assert laptop.json("up", "--once") == [{"v": 1, "peer": "cloud", "result": "exchanged"}]
    assert laptop.json("trace", id)[0]["state"] == "received"
    assert cloud.json("inbox", "--agent", "carol")[0]["peer"] == "laptop"
    laptop.peer("cloud", url="exec:false")
    done = laptop.cli("up", "--once", check=1)
    assert done.stdout.startswith("cloud: ")


def test_up_once_does_not_wait_for_a_stopped_peer(pair: tuple[Host, Host]) -> None:
    """Nobody dials it until a person resumes it."""
    laptop, _ = pair
    with laptop.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", state="stopped", error="its key changed")
    began = time.monotonic()
    assert laptop.cli("up", "--once", check=1).stdout == "cloud: its key changed\n"
    assert time.monotonic() - began < 30


# -- status -----------------------------------------------------------------------------------


def test_status_has_the_shape_that_scripts_rely_on(pair: tuple[Host, Host]) -> None:
    """Every key, whatever happens."""
    laptop, _ = pair
    laptop.cli("send", "carol", "-s", "x", "--deadline", "2020-01-01T00:00:00Z")
    (told,) = laptop.json("status")
    keys = "v host home version running pid since outbox inbox dead quarantine held overdue escalated"
    assert told.keys() == set(f"{keys} oldest_queued_s oldest_unread_s peers".split())
    assert (told["running"], told["pid"], told["overdue"]) == (False, None, 1)
    assert told["outbox"]["queued"] == 1 and told["oldest_queued_s"] >= 0
    (peer,) = told["peers"]
    assert peer.keys() == set(
        ["name", "url", "state", "last_contact", "queued", "retry_at", "last_error", "far", "agents", "here"]
    )
    assert peer["far"].keys() == {"unread", "queued", "version"}
    assert (peer["state"], peer["queued"]) == ("waiting", 1)
    text = laptop.cli("status").stdout
    assert "does not run" in text and "spool up --detach" in text
    assert max(map(len, text.replace(str(laptop.home), "HOME").splitlines())) <= 80


def test_status_check_finds_what_is_stuck(pair: tuple[Host, Host]) -> None:
    """One line each; exit 1."""
    laptop, _ = pair
    assert "ok" in laptop.cli("status", "--check").stdout
    laptop.cli("send", "carol", "-s", "x")
    done = laptop.cli("status", "--check", "--max-age", "0", check=1)
    assert len(done.stdout.splitlines()) == 2
    assert "no consumer runs" in done.stdout and "oldest message" in done.stdout
    (told,) = laptop.json("status", "--check", check=1)
    assert len(told["stuck"]) == 1


def test_a_link_of_a_dead_process_is_no_link(pair: tuple[Host, Host]) -> None:
    """What it wrote last says nothing of now."""
    laptop, cloud = pair
    for host, name in ((laptop, "cloud"), (cloud, "laptop")):
        with host.api() as spool, spool.store.write(sync=True) as tx:
            tx.peers.update(name, state="linked", holder="consumer-1-dead", holder_until=time.time() + 60)
    assert laptop.json("status")[0]["peers"][0]["state"] == "waiting"
    assert cloud.json("status")[0]["peers"][0]["state"] == "dials-us"


def test_a_bad_config_is_named(tmp_path: Path) -> None:
    """With the key that is wrong; `down` works all the same."""
    host = Host(tmp_path, "laptop", "alice")
    with (host.home / "spool.toml").open("a") as config:
        config.write("colour = 3\n")
    done = host.cli("status", check=1)
    assert "colour" in done.stderr
    host.cli("down")


# -- log --------------------------------------------------------------------------------------


def write_log(host: Host, *events: tuple[str, dict[str, str]]) -> None:
    """Some events as a consumer writes them."""
    log.configure(host.home, role="consumer", host=host.name, version="0", stderr=False)
    for event, values in events:
        log.warning(event, **values) if event.endswith("deferred") else log.info(event, **values)


def test_log_filters_and_reads_rotated_files(tmp_path: Path) -> None:
    """In the order in which they were written."""
    host = Host(tmp_path, "laptop", "alice")
    write_log(host, ("message.queued", {"id": "msg-000001", "peer": "cloud"}))
    folder = host.home / "log"
    (folder / "spool.jsonl").rename(folder / "spool.jsonl.1")
    write_log(
        host,
        ("message.deferred", {"id": "msg-000001", "error": "no \x1b[31m space"}),
        ("link.up", {"peer": "x"}),
    )
    events = [json.loads(line)["event"] for line in host.cli("log", "--json").stdout.splitlines()]
    assert events == ["message.queued", "message.deferred", "link.up"]

    def count(*args: str) -> int:
        return len(host.cli("log", *args).stdout.splitlines())

    assert count("--id", "msg-0000") == 2
    assert count("--peer", "cloud") == 1
    assert count("--event", "message.*") == 2
    assert count("--level", "warning") == 1
    assert count("--since", "1h") == 3
    assert count("--since", "2099-01-01T00:00:00Z") == 0
    assert "\x1b" not in host.cli("log").stdout
    raw = (folder / "spool.jsonl").read_text()
    assert host.cli("log", "--json").stdout.endswith(raw)


def test_log_follows_across_a_rotation(tmp_path: Path) -> None:
    """What was written before, in between and after."""
    host = Host(tmp_path, "laptop", "alice")
    write_log(host, ("a.one", {}))
    process = subprocess.Popen(
        [*host.serve_command("x")[:3], "--home", str(host.home), "log", "-f", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    )
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["event"] == "a.one"
        write_log(host, ("a.two", {}))
        assert json.loads(process.stdout.readline())["event"] == "a.two"
        folder = host.home / "log"
        (folder / "spool.jsonl").rename(folder / "spool.jsonl.1")
        write_log(host, ("a.three", {}))
        assert json.loads(process.stdout.readline())["event"] == "a.three"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


# -- the order of a history -------------------------------------------------------------------


def test_a_history_is_in_the_order_of_cause_whatever_the_clocks_say(pair: tuple[Host, Host]) -> None:
    """Sent, dead at a later hop, revived, sent again, received: by clocks that jumped."""
    laptop, _ = pair
    id = laptop.cli("send", "carol", "-s", "x").stdout.strip()
    with laptop.api() as spool:
        row = spool.sent(id)
        with spool.store.write(sync=True) as tx:
            tx.ledger.event(Event(id, "alice", 9e8, "laptop", "cloud", "queued", "deferred", 1, "no space"))
            tx.ledger.event(Event(id, "alice", 5e8, "cloud", "cloud", "sent", "dead", None, "gone"))
            tx.ledger.event(Event(id, "alice", 7e8, "laptop", "cloud", "dead", "retried", 1, "by hand"))
            tx.outbox.advance(row.seq, id, views.State.SENT, now=3e8, there=None, host=None)
            tx.ledger.event(Event(id, "alice", 1e8, "laptop", "cloud", "sent", "deferred", 2, "again"))
            tx.outbox.advance(row.seq, id, views.State.DONE, now=4e8, there=1e8, host="cloud")
        events = views.trace(spool, id)["events"]
    told = [(e["state"], (e["detail"] or "").split(":")[0].split(";")[0]) for e in events]
    assert told == [
        ("queued", "to carol"),
        ("queued", "deferred"),
        ("dead", "dead"),
        ("queued", "retried"),
        ("sent", ""),
        ("sent", "deferred"),
        ("received", "no time was told for this"),
        ("done", "known here 1982-09-04T15"),
    ]


def test_a_peer_without_a_url_is_told_apart(tmp_path: Path) -> None:
    """It dials us; there is nothing to dial."""
    host = Host(tmp_path, "cloud", "carol")
    host.peer("laptop", agents=["alice"])
    with Spool(host.home) as spool:
        assert views.peer_state(spool, Peer(name="laptop"), spool.peer_row("laptop")) == "dials-us"
    steps = host.json("peer", "check", "laptop", check=1)
    assert "it dials us" in steps[0]["detail"]
