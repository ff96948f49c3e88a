"""`huey_consumer workers.app.huey` with no flags: how it ends, what it refuses, what it reloads."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import ENV, Consumer, Host, dials_by_exec, dials_by_ssh, hosts, until
from tests.mail import generation, linked, rows
from tests.proxy import FaultProxy
from tests.sshd import Sshd

pytestmark = pytest.mark.timeout(60)

ENDS_WITHIN_S = 10.0
BOTH_SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Host, Host, FaultProxy]]:
    """`near` dials `far` through a proxy; nothing runs yet."""
    with (
        Sshd(tmp_path / "sshd") as sshd,
        FaultProxy(sshd.port) as proxy,
        hosts(tmp_path, near=["nia"], far=["fay"]) as (near, far),
    ):
        dials_by_ssh(near, far, sshd, near_agents=["nia"], far_agents=["fay"], port=proxy.port)
        yield near, far, proxy


def ends(consumer: Consumer, number: int, what: str) -> None:
    """A signal ends it in time, and as it should."""
    began = time.monotonic()
    status = consumer.stop(number)
    took = time.monotonic() - began
    print(f"{what}: {took:.1f} s after {signal.Signals(number).name}")
    out = consumer.out.read_text()
    assert status == 0, out
    assert "Traceback" not in out
    assert took < ENDS_WITHIN_S


@BOTH_SIGNALS
def test_it_ends_with_a_link_up(pair: tuple[Host, Host, FaultProxy], number: int) -> None:
    """And leaves nothing that looks as if it still ran."""
    near, far, _ = pair
    consumer = near.start()
    until(lambda: linked(near, "far"))

    ends(consumer, number, "ended with a link up")

    assert not linked(near, "far")
    assert [event["event"] for event in near.log("consumer.stopped")] == ["consumer.stopped"]
    assert [path.name for path in (near.home / "run").iterdir() if path.suffix in (".live", ".bell")] == []
    until(lambda: not linked(far, "near"))


@BOTH_SIGNALS
def test_it_ends_with_a_stalled_link(pair: tuple[Host, Host, FaultProxy], number: int) -> None:
    """In the middle of a push that nobody reads; what was leased is free again."""
    near, _, proxy = pair
    consumer = near.start()
    until(lambda: linked(near, "far"))
    proxy.stall()
    with near.api() as spool:
        ids = spool.send_many([{"to": "fay", "subject": "much", "body": "x" * 90_000}] * 60)
    until(lambda: rows(near, "SELECT 1 FROM outbox WHERE lease_until > 0") != [])

    ends(consumer, number, "ended with a stalled link")

    free = "SELECT count(*) FROM outbox WHERE state = 'queued' AND lease_until = 0"
    assert [(len(ids),)] == rows(near, free)


def test_a_second_signal_changes_nothing(pair: tuple[Host, Host, FaultProxy]) -> None:
    """It ends as it would have: Ctrl-C twice is no crash."""
    near, _, proxy = pair
    consumer = near.start()
    until(lambda: linked(near, "far"))
    proxy.stall()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        consumer.end(number)
        time.sleep(0.05)

    ends(consumer, signal.SIGINT, "ended by five signals")


@BOTH_SIGNALS
def test_it_ends_while_it_dials_hosts_that_do_not_answer(
    pair: tuple[Host, Host, FaultProxy], number: int
) -> None:
    """Four dials at once, each to a port that takes the connection and says nothing."""
    near, _, proxy = pair
    proxy.stall()
    far = near.api().config.peer("far")
    for n in range(3):
        near.peer(f"mute{n}", url=far.url, agents=[f"mute{n}"], host_key=far.host_key)
    consumer = near.start()
    until(lambda: proxy.connections >= 4)

    ends(consumer, number, "ended while dialling")

    assert rows(near, "SELECT name FROM peers WHERE state = 'dialling'") == []


def test_it_ends_soon_after_it_was_started(pair: tuple[Host, Host, FaultProxy]) -> None:
    """Whenever the signal comes once it says that it has started."""
    near, _, _ = pair
    for _ in range(3):
        started = len(near.log("consumer.started"))
        consumer = near.start()
        until(lambda before=started: len(near.log("consumer.started")) > before)
        time.sleep(0.1)
        ends(consumer, signal.SIGTERM, "ended at its start")


@pytest.mark.parametrize("kind", ["process", "greenlet"])
def test_only_threads_will_do(pair: tuple[Host, Host, FaultProxy], kind: str) -> None:
    """The links live in threads of the consumer."""
    near, _, _ = pair

    said = refusal(near.home, "-k", kind)

    assert f"-k {kind} is not possible" in said


def test_without_a_home_it_says_what_to_do(tmp_path: Path) -> None:
    """One line."""
    said = refusal(tmp_path / "nowhere")

    assert "no spool home" in said and "spool init" in said


def test_a_bad_config_is_named(pair: tuple[Host, Host, FaultProxy]) -> None:
    """The file and the key."""
    near, _, _ = pair
    config = near.home / "spool.toml"
    config.write_text(config.read_text().replace("[host]", "[host]\ncolour = 3"))

    said = refusal(near.home)

    assert str(config) in said and "colour" in said


@pytest.mark.parametrize("damage", ["header", "middle", "cut", "empty"])
def test_a_damaged_database_is_left_as_it_is(pair: tuple[Host, Host, FaultProxy], damage: str) -> None:
    """Nothing is written to a file that SQLite does not trust."""
    near, _, _ = pair
    path = near.home / "spool.db"
    with near.api() as spool:
        spool.send_many([{"to": "nia", "subject": str(n)} for n in range(300)])
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {
            "header": bytes(100) + whole[100:],
            "middle": whole[:half] + b"\xa5" * 8192 + whole[half + 8192 :],
            "cut": whole[:half],
            "empty": b"",
        }[damage]
    )
    before = path.read_bytes()

    said = refusal(near.home)

    assert str(path) in said
    assert before == path.read_bytes()


def refusal(home: Path, *flags: str) -> str:
    """The one line on stderr with which the consumer of a home does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "huey.bin.huey_consumer", "workers.app.huey", *flags],
        env={**ENV, "SPOOL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("spool: "), done.stderr
    return lines[0]


def test_a_changed_config_is_picked_up_on_hangup(tmp_path: Path) -> None:
    """A new peer is dialled; the links of the others stay, whoever else may send by them now."""
    with hosts(tmp_path, near=["nia"], one=["una"], two=["dua"], three=["tria"]) as (near, *far):
        for host, agent in zip(far[:2], ("una", "dua"), strict=True):
            dials_by_exec(near, host, near_agents=["nia"], far_agents=[agent])
        consumer = near.start()
        until(lambda: linked(near, "one") and linked(near, "two"))

        dials_by_exec(near, far[2], near_agents=["nia"], far_agents=["tria"])
        near.peer("two", agents=["dua", "dario"])
        consumer.process.send_signal(signal.SIGHUP)
        until(lambda: linked(near, "three"), 5)

        config = near.home / "spool.toml"
        good = config.read_text()
        config.write_text(good + "\n[nonsense]\n")
        consumer.process.send_signal(signal.SIGHUP)
        until(lambda: near.log("config.bad") != [], 5)
        config.write_text(good)
        consumer.process.send_signal(signal.SIGHUP)
        until(lambda: rows(near, "SELECT value FROM facts WHERE name = 'config_error'") == [("",)], 5)

        assert all(linked(near, host.name) for host in far)
        assert [generation(near, host.name) for host in far] == [1, 1, 1]
        assert consumer.process.poll() is None


def test_a_peer_with_another_url_is_dialled_anew_and_one_that_went_is_left(tmp_path: Path) -> None:
    """The old command is slow to end; that does not disturb the link that follows it."""
    with hosts(tmp_path, near=["nia"], one=["una"], two=["dua"]) as (near, one, two):
        for host, agent in ((one, "una"), (two, "dua")):
            dials_by_exec(near, host, near_agents=["nia"], far_agents=[agent])
        with near.api() as spool:
            quick = spool.config.peer("one").url
        slow = shlex.join(["sh", "-c", f"trap '' TERM; {quick.removeprefix('exec:')}; sleep 9"])
        near.peer("one", url=f"exec:{slow}")
        near.start()
        until(lambda: linked(near, "one") and linked(near, "two"))

        near.peer("one", url=quick)
        until(lambda: generation(near, "one") == 2)
        config = near.home / "spool.toml"
        config.write_text(config.read_text().replace("[peers.two]", "[peers.three]"))
        until(lambda: not linked(near, "two") and not linked(two, "near"))

        time.sleep(4.0)
        assert linked(near, "one") and linked(one, "near")
        assert 2 == generation(near, "one") == generation(one, "near")
