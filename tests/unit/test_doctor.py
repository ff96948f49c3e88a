"""`spool doctor`: each thing that is wrong is found, with its remedy; a broken home hides nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spool import authorized, doctor
from spool.api import Spool
from spool.doctor import Finding, program
from spool.presence import Presence
from spool.store import sqlite
from spool.store.base import KeptFile
from tests.hosts import ROOT, Host

NOW = time.time()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home where all is well, and an account without authorized_keys."""
    return Host(tmp_path, "laptop", "alice")


def examined(host: Host, *, now: float = NOW, quick: bool = True, keys: Path | None = None) -> list[Finding]:
    """What the doctor finds; the account's own keys are not looked at."""
    return list(
        doctor.examine(host.home, now=now, quick=quick, keys=keys or host.home.parent / "authorized_keys")
    )


def only(findings: Sequence[Finding], level: str, said: str) -> Finding:
    """The one finding of this level that says so."""
    (found,) = [each for each in findings if each.level == level and said in each.found]
    return found


def test_a_home_that_is_well_has_nothing_to_mend(host: Host) -> None:
    """But that it has no peer yet."""
    findings = examined(host)
    assert {each.topic for each in findings if each.level == "warning"} <= {"peers", "path", "start"}
    assert not [each for each in findings if each.level == "failed"]
    topics = {each.topic for each in findings}
    assert {"home", "config", "key", "disk", "sqlite", "database", "consumer", "clock", "mail"} <= topics


def test_whatever_is_not_well_has_a_remedy(host: Host) -> None:
    """A finding without one leaves its reader where he was."""
    (host.home / "spool.db").write_bytes(b"garbage" * 1000)
    host.home.chmod(0o755)
    for each in examined(host):
        assert (each.remedy == "") == (each.level == "ok"), each


def test_without_a_home_the_rest_is_still_checked(tmp_path: Path) -> None:
    """The first line says what to do."""
    first, *rest = doctor.examine(tmp_path / "none", now=NOW, quick=True)
    assert (first.topic, first.level) == ("home", "failed") and "spool init" in first.remedy
    assert {"sqlite", "python"} <= {each.topic for each in rest}


def test_a_home_that_is_a_file_is_said_to_be(tmp_path: Path) -> None:
    """No traceback, whatever SPOOL_HOME names."""
    (tmp_path / "file").write_text("x")
    first, *_ = doctor.examine(tmp_path / "file", now=NOW, quick=True)
    assert (first.topic, first.level) == ("home", "failed")


def test_a_bad_config_comes_first_and_the_database_is_checked(host: Host) -> None:
    """Mail does not depend on the key that was mistyped."""
    config = host.home / "spool.toml"
    config.write_text(config.read_text() + "colour = 3\n")
    first, *rest = examined(host)
    assert (first.topic, first.level) == ("config", "failed") and "colour" in first.found
    assert "database" in {each.topic for each in rest if each.level == "ok"}
    assert "mail" in {each.topic for each in rest}


def test_a_damaged_database_is_told(host: Host) -> None:
    """The keys and the disk are looked at all the same."""
    (host.home / "spool.db").write_bytes(b"garbage" * 1000)
    findings = examined(host)
    assert findings[0].topic == "database" and findings[0].level == "failed"
    assert "key" in {each.topic for each in findings if each.level == "ok"}


def test_damage_within_the_file_is_found_by_reading_it_through(host: Host) -> None:
    """Opening it is not enough: the pages are looked at."""
    with host.api() as spool:
        spool.send_many([{"to": "alice", "subject": f"{n}", "body": "x" * 500} for n in range(200)])
    database = host.home / "spool.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    findings = examined(host, quick=False)
    assert [each for each in findings if (each.topic, each.level) == ("database", "failed")]


def test_a_newer_database_is_told_and_left_alone(host: Host) -> None:
    """The remedy is a newer spool, never this one's."""
    with_version(host, sqlite.SCHEMA + 1)
    first, *_ = examined(host)
    assert (first.topic, first.level) == ("database", "failed") and "knows" in first.found


def test_an_older_database_is_not_migrated_by_a_look(host: Host) -> None:
    """Doctor changes nothing."""
    with_version(host, 1)
    assert only(examined(host), "warning", "older spool").topic == "database"
    assert sqlite.schema_of(host.home / "spool.db") == 1


def with_version(host: Host, version: int) -> None:
    """Let the file say that it is of another schema."""
    connection = sqlite.connect(host.home / "spool.db", synchronous="FULL")
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def test_a_missing_database_is_not_made(host: Host) -> None:
    """An empty one in its place would hide that mail is gone."""
    (host.home / "spool.db").unlink()
    first, *_ = examined(host)
    assert (first.topic, first.level) == ("database", "failed")
    assert not (host.home / "spool.db").exists()


@pytest.mark.parametrize(
    ("mode", "level"), [(0o777, "failed"), (0o755, "warning"), (0o700, "ok")], ids=["write", "look", "own"]
)
def test_a_home_that_others_may_enter(host: Host, mode: int, level: str) -> None:
    """Who may write there owns the mail; who may look reads who is here."""
    host.home.chmod(mode)
    levels = {each.level for each in examined(host) if each.topic == "home"}
    assert level in levels
    assert (level == "ok") == (levels == {"ok"})


def test_a_key_that_others_may_read(host: Host) -> None:
    """It may be known already: the remedy says to make another."""
    key = host.home / "keys" / "id_ed25519"
    key.chmod(0o644)
    found = only(examined(host), "failed", "others may read")
    assert f"chmod 600 {key}" in found.remedy


def test_a_key_whose_halves_do_not_fit(host: Host, tmp_path: Path) -> None:
    """The far side would be given a key that never logs in."""
    other = Host(tmp_path / "more", "other", "bob")
    public = host.home / "keys" / "id_ed25519.pub"
    public.write_text(other.made.public_key + "\n")
    found = only(examined(host), "failed", "not the other half")
    assert "ssh-keygen -y" in found.remedy


def test_a_key_that_is_gone(host: Host) -> None:
    """`init` makes a new one."""
    (host.home / "keys" / "id_ed25519").unlink()
    assert "spool init" in only(examined(host), "failed", "No such file").remedy


def test_a_folder_of_the_home_that_is_gone(host: Host) -> None:
    """Without log/ nothing is ever said."""
    (host.home / "log").rmdir()
    assert "mkdir" in only(examined(host), "failed", "log is not there").remedy


def test_a_disk_below_the_mark(host: Host) -> None:
    """No mail is taken: that is a failure, not a warning."""
    config = host.home / "spool.toml"
    config.write_text(config.read_text() + "low_water_mb = 1000000000\n")
    assert only(examined(host), "failed", "no mail is taken").topic == "disk"


# -- who carries it ---------------------------------------------------------------------------


def test_mail_that_waits_while_nothing_runs(host: Host) -> None:
    """It fails only where there is something to carry."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    assert only(examined(host), "warning", "none runs here").topic == "consumer"
    with host.api() as spool:
        spool.send("carol", subject="x")
    assert only(examined(host), "failed", "1 wait").remedy == "`spool up --detach`"


def test_a_consumer_that_hangs_is_told_from_one_that_runs(host: Host) -> None:
    """It lives and does not sweep."""
    consumer = Presence(host.home / "run", "consumer", now=NOW - 500, version="0.0.1")
    try:
        findings = examined(host)
        assert only(findings, "failed", "has not swept for").topic == "consumer"
        assert only(findings, "warning", "it is spool 0.0.1").remedy == "`spool restart`"
    finally:
        consumer.close()


def test_a_log_that_is_silent_while_a_consumer_runs(host: Host) -> None:
    """It says that it is alive each minute: so silence is the alarm."""
    log = host.home / "log" / "spool.jsonl"
    log.write_text("{}\n")
    os.utime(log, (NOW - 400, NOW - 400))
    consumer = Presence(host.home / "run", "consumer", now=NOW - 500, version="x")
    try:
        assert only(examined(host), "failed", "is silent").topic == "log"
        os.utime(log, (NOW - 30, NOW - 30))
        assert not [each for each in examined(host) if each.topic == "log"]
    finally:
        consumer.close()


def test_a_config_that_the_consumer_refused(host: Host) -> None:
    """What runs is not what the file says."""
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.ledger.set_fact("config_error", "colour: unknown key")
    assert only(examined(host), "failed", "keeps its old config").topic == "config"


def test_a_peer_whose_clock_differs(host: Host) -> None:
    """The times of a trace are of two clocks."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", clock_offset=-120.0, last_contact=NOW)
    assert "cloud -120 s" in only(examined(host), "warning", "not the same").found


def test_a_clock_that_leapt(host: Host) -> None:
    """For ten minutes nothing expires, and the reader wonders why."""
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.ledger.set_fact("clock_leapt_at", repr(NOW - 10))
    assert only(examined(host), "warning", "leapt").topic == "clock"


# -- the mail ---------------------------------------------------------------------------------


def test_old_dead_and_held_mail(host: Host) -> None:
    """Each by a line of its own, with the command that lists it."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    with host.api() as spool:
        gone = spool.send("carol", subject="gone")
        spool.send("carol", subject="old")
        spool.send("alice", subject="mine")
        spool.cancel(gone)
        with spool.store.write(sync=True) as tx:
            tx.ledger.quarantine(at=NOW, peer="cloud", name=None, reason="why", raw=b"x")
    findings = examined(host, now=NOW + 2 * 86_400)
    assert "spool outbox" in only(findings, "failed", "oldest message waits").remedy
    assert "spool inbox" in only(findings, "warning", "unread for").remedy
    assert "spool dead list" in only(findings, "warning", "1 dead letter").remedy
    assert "quarantine list" in only(findings, "warning", "1 in the quarantine").remedy


def test_mail_for_a_peer_that_went(host: Host) -> None:
    """Nobody would ever carry it."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    with host.api() as spool:
        spool.send("carol", subject="x")
    config = host.home / "spool.toml"
    config.write_text(config.read_text().split("[peers.cloud]")[0])
    assert "spool peer add cloud" in only(examined(host), "failed", "no peer any more").remedy


# -- peers ------------------------------------------------------------------------------------


def test_a_peer_that_is_stopped_and_one_never_reached(host: Host) -> None:
    """A stopped one fails; one that was never tried is worth a look."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    host.peer("desk", url="exec:true", agents=["dave"])
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", state="stopped", error="the login was refused", error_kind="auth_refused")
    findings = examined(host)
    assert "spool peer resume cloud" in only(findings, "failed", "auth_refused").remedy
    assert "spool peer check desk" in only(findings, "warning", "never reached").remedy


def test_an_ssh_host_whose_key_nobody_accepted(host: Host) -> None:
    """It would be refused at each dial."""
    host.peer("cloud", url="ssh://nobody@nowhere.invalid:2222", agents=["carol"])
    assert "spool peer add cloud" in only(examined(host), "failed", "host key was never accepted").remedy


def test_agents_of_the_config_that_the_peer_does_not_have(host: Host) -> None:
    """Mail for them goes there and is refused."""
    host.peer("cloud", url="exec:false", agents=["carrol", "carol*"])
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.peers.update("cloud", far_agents=["carol"], last_contact=NOW)
    found = only(examined(host), "warning", "fits none")
    assert found.found.startswith("carrol fits none")


def test_a_peer_of_whom_nobody_is_known(host: Host) -> None:
    """Its mail goes to the quarantine."""
    host.peer("cloud", url="exec:false")
    assert only(examined(host), "warning", "no agent is known").topic == "peer cloud"


def test_a_peer_that_dials_us_without_its_line(host: Host, tmp_path: Path) -> None:
    """Nothing lets it in, until its key is authorized."""
    host.peer("cloud", agents=["carol"])
    assert "spool peer authorize cloud" in only(examined(host), "warning", "has no line for it").remedy


def test_a_line_that_lets_a_peer_in_is_looked_at(host: Host, tmp_path: Path) -> None:
    """Its program must be there, and sshd must heed the file."""
    host.peer("cloud", agents=["carol"])
    (tmp_path / "ssh").mkdir(mode=0o700)
    keys = tmp_path / "ssh" / "authorized_keys"
    tmp_path.chmod(0o700)
    let_in(host, keys, sys.executable)
    assert {e.level for e in examined(host, keys=keys) if e.topic == "peer cloud"} == {"warning"}
    keys.unlink()
    let_in(host, keys, "/nowhere/bin/spool")
    assert "authorize cloud" in only(examined(host, keys=keys), "failed", "/nowhere/bin/spool").remedy
    keys.chmod(0o666)
    assert f"chmod go-w {keys}" in only(examined(host, keys=keys), "failed", "sshd ignores").remedy


def let_in(host: Host, keys: Path, program: str) -> None:
    """Write the line as `peer authorize` does."""
    line = authorized.line_for(host.made.public_key, peer="cloud", command=[program], home=host.home)
    authorized.write(keys, line, peer="cloud")


# -- folders ----------------------------------------------------------------------------------


def test_the_folders_of_a_local_peer(host: Host, tmp_path: Path) -> None:
    """Missing, open to all, without processed/, with giants."""
    inbox, outbox = tmp_path / "in", tmp_path / "out"
    host.peer("scripts", url="dir:", agents=["shell"], inbox=str(inbox), outbox=str(outbox))
    missing = [each for each in examined(host) if each.level == "failed"]
    assert [each.remedy for each in missing] == [f"`mkdir -p {inbox}`", f"`mkdir -p {outbox}`"]
    inbox.mkdir()
    outbox.mkdir()
    outbox.chmod(0o777)
    (outbox / ".spool-refused~0~big.json").write_bytes(b"x" * 10)
    findings = examined(host)
    assert f"mkdir {inbox}/processed" in only(findings, "warning", "has no processed/").remedy
    assert f"chmod o-w {outbox}" in only(findings, "warning", "everybody on this machine").remedy
    assert "rm .spool-refused~*" in only(findings, "warning", "1 file too large").remedy
    outbox.chmod(0o1777)
    assert not [each for each in examined(host) if "everybody" in each.found]


def test_files_that_cannot_be_removed(host: Host, tmp_path: Path) -> None:
    """They were taken once and stand there for ever."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    host.peer("scripts", url="dir:", agents=["s"], inbox=f"{tmp_path}/in", outbox=f"{tmp_path}/out")
    with host.api() as spool, spool.store.write(sync=True) as tx:
        tx.kept_files.put("scripts", KeptFile("a.json", 3, 1.0, b"d" * 32, NOW))
    assert "such as a.json" in only(examined(host), "warning", "cannot be removed").found


# -- the program ------------------------------------------------------------------------------


def test_what_a_host_that_dials_us_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places that its command looks at, by this account's own shell, not logged in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(program, "PLAIN_PATH", str(tmp_path / "bin"))
    assert "ln -s" in program.found_by_others().remedy
    beside = tmp_path / ".local" / "bin" / "spool"
    beside.parent.mkdir(parents=True)
    beside.write_text("#!/bin/sh\n")
    assert program.found_by_others().level == "warning"
    beside.chmod(0o755)
    assert str(beside) in program.found_by_others().found


def test_only_who_dials_without_a_line_of_ours_must_find_it(host: Host) -> None:
    """The line of `peer authorize` says where spool is; and who is dialled by nobody needs no PATH."""
    assert not said_of_path(host)
    host.peer("cloud", agents=["carol"])
    assert said_of_path(host)
    let_in(host, host.home.parent / "authorized_keys", sys.executable)
    assert not said_of_path(host)


def said_of_path(host: Host) -> list[Finding]:
    """What is said of hosts that dial this one."""
    return [each for each in examined(host, quick=False) if "that dials this one" in each.found]


def test_modules_that_are_compiled_at_each_start(host: Host, tmp_path: Path) -> None:
    """Every command would take several times as long; the remedy mends it."""
    shutil.copytree(ROOT / "spool", tmp_path / "spool", ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def start() -> dict[str, str]:
        command = [sys.executable, "-m", "spool.cli", "--home", str(host.home), "doctor", "--quick", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=True)
        (found,) = [each for each in map(json.loads, done.stdout.splitlines()) if each["topic"] == "start"]
        return found

    slow = start()
    assert slow["level"] == "warning" and "PYTHONDONTWRITEBYTECODE" in slow["found"]
    subprocess.run(slow["remedy"].split("`")[1], shell=True, check=True)
    assert start()["level"] == "ok"


# -- the command ------------------------------------------------------------------------------


def test_the_command_says_each_finding_and_fails_where_one_does(host: Host) -> None:
    """For people, and for scripts."""
    keys = ("--authorized-keys", f"{host.home.parent}/authorized_keys")
    assert "ok" in host.cli("doctor", "--quick", *keys).stdout.splitlines()[-1]
    host.peer("cloud", url="exec:false", agents=["carol"])
    host.cli("send", "carol", "-s", "x")
    done = host.cli("doctor", "--quick", *keys, check=1)
    assert "do: `spool up --detach`" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 failed, ")
    lines = host.json("doctor", "--quick", *keys, check=1)
    assert all(line.keys() == {"v", "topic", "level", "found", "remedy"} for line in lines)


def test_peers_are_reached_only_on_request(host: Host) -> None:
    """A look without the network is quick; with it, each step of `peer check` is a finding."""
    host.peer("cloud", url="exec:false", agents=["carol"])
    lines = host.json("doctor", "--peers", check=1)
    reached = [line for line in lines if line["topic"] == "peer cloud" and line["level"] == "failed"]
    assert reached and all(line["remedy"] for line in reached)
    assert "give one of them" in host.cli("doctor", "--peers", "--quick", check=2).stderr


def test_doctor_changes_nothing(host: Host) -> None:
    """Not the config, not the mail, no file of the home but those that any reader opens."""
    with host.api() as spool:
        spool.send("alice", subject="x")
    before = {path.name: path.stat().st_mtime_ns for path in host.home.iterdir() if path.suffix == ".toml"}
    examined(host, quick=False)
    assert before == {p.name: p.stat().st_mtime_ns for p in host.home.iterdir() if p.suffix == ".toml"}
    with Spool(host.home) as spool, spool.store.read() as tx:
        assert tx.inbox.counts() == {"unread": 1} and tx.ledger.fact("written_at") is None
