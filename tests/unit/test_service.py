"""`spool service`: what is written for systemd, cron and launchd, and that no more is taken away."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import presence
from spool.errors import BadInput
from spool.service import cron, launchd, systemd
from spool.service.base import STOP_S, Job, job
from tests.hosts import ENV, Host, until
from workers.consumer import SHUTDOWN_S

NASTY = "a home, 100% 'mine' \"and\" $yours \\ & <co>; é"
# As much of crontab(1) as is used: -l prints the table or says that there is none, - takes a new one.
CRONTAB = """#!/bin/sh
table={folder}/table
[ -e {folder}/broken ] && {{ echo "cannot open the spool directory" >&2; exit 1; }}
case "$1" in
-l) [ -e $table ] || {{ echo "no crontab for me" >&2; exit 1; }}; exec /bin/cat $table ;;
-) exec /bin/cat >$table ;;
esac
exit 2
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >>{folder}/calls
case "$2" in is-active) echo active ;; is-enabled) echo enabled ;; esac
"""
STARTS = """
[ "$2" = start ] && . {folder}/command </dev/null >/dev/null 2>&1 &
exit 0
"""
OTHERS = (
    b"MAILTO=me@example.org\n# spool service: not ours\n"
    b"0 4 * * * /usr/bin/backup --name 'caf\xe9' # spool service: /elsewhere\n\n\t@daily  x \n"
)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose home's path has everything that must be escaped."""
    made = Host(tmp_path / NASTY, "laptop", "alice")
    yield made
    made.cli("down", check=None)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the programs of the machine: with a crontab, without systemd."""
    folder = tmp_path / "tools"
    folder.mkdir()
    program(folder, "crontab", CRONTAB)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text.format(folder=folder))
    path.chmod(0o755)


def run(host: Host, tools: Path, *args: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(tools), "XDG_CONFIG_HOME": str(tools / "config"), "HOME": str(tools)}
    return host.cli("service", *args, env=env, check=check)


# -- systemd ----------------------------------------------------------------------------------


def test_systemd_takes_the_unit(host: Host, tmp_path: Path) -> None:
    """Its own check has nothing to say, about a home with spaces, quotes and specifiers either."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: the unit was not verified")
    path = tmp_path / "spool-laptop.service"
    path.write_text(systemd.unit(job(host.home, "laptop")))
    (tmp_path / "run").mkdir(mode=0o700)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(path)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_unit_names_nothing_that_systemd_would_expand() -> None:
    """`%h` in a path is two characters of it; a dollar is a variable in the command alone."""
    text = systemd.unit(Job(Path('/h/100%h $HOME "x" \\y'), "laptop", "/opt/my py/$V/python"))

    assert 'Environment="SPOOL_HOME=/h/100%%h $HOME \\"x\\" \\\\y"\n' in text
    assert 'ExecStart="/opt/my py/$$V/python" "-P" "-m" "spool" "up"\n' in text


def test_systemd_waits_longer_than_the_consumer_takes_to_end() -> None:
    """Else it kills what would have given its mail back."""
    text = systemd.unit(Job(Path("/h"), "laptop", "/p"))

    assert int(re.findall(r"TimeoutStopSec=(\d+)", text)[0]) == STOP_S > SHUTDOWN_S + 5 + 5
    assert "Restart=on-failure" in text and "NoNewPrivileges=yes" in text


def test_a_unit_is_installed_and_taken_away(host: Host, tools: Path) -> None:
    """Enabled and started, once more with the same result; then stopped, disabled and gone."""
    program(tools, "systemctl", SYSTEMCTL)
    unit = tools / "config" / "systemd" / "user" / "spool-laptop.service"
    for _ in range(2):
        assert "systemd keeps the consumer" in run(host, tools, "install", "--yes").stdout
    assert f"# written by `spool service install` for {host.home}" in unit.read_text().splitlines()
    assert (tools / "calls").read_text().count("--user enable --now spool-laptop.service\n") == 2
    assert "systemd: active, enabled" in run(host, tools, "status").stdout

    assert run(host, tools, "uninstall").stdout == "removed: systemd\n"

    assert not unit.exists()
    assert "--user disable --now spool-laptop.service\n" in (tools / "calls").read_text()
    assert run(host, tools, "uninstall").stdout == "there was nothing to remove\n"


def test_up_and_restart_leave_it_to_the_unit(host: Host, tools: Path) -> None:
    """Started beside it, systemd would know nothing of it, and not start it again when it dies."""
    program(tools, "systemctl", SYSTEMCTL + STARTS)
    (tools / "command").write_text(
        f"exec {sys.executable} -P -m spool up --home {shlex.quote(str(host.home))}"
    )
    unit = tools / "config" / "systemd" / "user" / "spool-laptop.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(systemd.unit(job(host.home, "laptop")))
    env = {"PATH": f"{tools}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(tools / "config")}

    assert "runs, kept by systemd" in host.cli("up", "--detach", env=env).stdout
    assert "runs already" in host.cli("up", "--detach", env=env).stdout
    assert "runs, kept by systemd" in host.cli("restart", env=env).stdout

    assert (tools / "calls").read_text().count("--user start spool-laptop.service") == 2
    until(lambda: len(host.log("consumer.started")) == 2)


def test_a_unit_of_another_home_stays(host: Host, tools: Path) -> None:
    """Two homes may call their host by one name."""
    program(tools, "systemctl", SYSTEMCTL)
    unit = tools / "config" / "systemd" / "user" / "spool-laptop.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")

    done = run(host, tools, "install", "--yes", check=1)
    run(host, tools, "uninstall")

    assert str(unit) in done.stderr and "was not written for this home" in done.stderr
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"


# -- cron -------------------------------------------------------------------------------------


def test_the_lines_of_others_stay_as_they_are(host: Host, tools: Path) -> None:
    """Byte by byte, whatever they are; ours stand there once, however often it is installed."""
    table = tools / "table"
    table.write_bytes(OTHERS)
    for _ in range(3):
        run(host, tools, "install", "--yes", "--how", "cron")
    ours = table.read_bytes().removeprefix(OTHERS)
    assert [line.split(b" ", 1)[0] for line in ours.splitlines()] == [b"@reboot", b"*/5"]
    assert "cron: in the crontab" in run(host, tools, "status").stdout

    run(host, tools, "install", "--yes", "--once")
    assert len(table.read_bytes().splitlines()) == len(OTHERS.splitlines()) + 1
    assert run(host, tools, "uninstall").stdout == "removed: cron\n"

    assert table.read_bytes() == OTHERS


def test_a_crontab_that_cannot_be_read_is_not_written(host: Host, tools: Path) -> None:
    """Taken for an empty one, all its lines would be gone."""
    (tools / "table").write_bytes(OTHERS)
    (tools / "broken").touch()

    done = run(host, tools, "install", "--yes", "--how", "cron", check=1)

    assert "cannot open the spool directory" in done.stderr
    assert (tools / "table").read_bytes() == OTHERS


def test_a_first_crontab_is_made(host: Host, tools: Path) -> None:
    """Most accounts have none."""
    run(host, tools, "install", "--yes", "--how", "cron")

    assert (tools / "table").read_bytes().count(b"\n") == 2


def test_a_cron_line_starts_the_consumer(host: Host, tmp_path: Path) -> None:
    """As cron runs it: by a shell, with next to no environment, from another folder."""
    made = Job(host.home, "laptop", sys.executable, ENV["PYTHONPATH"])
    for line in cron.lines(made):
        when = cron.BOOT if line.startswith("@") else cron.EVERY
        command = line.removeprefix(f"{when} ")
        assert "%" not in command
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"},
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert len(presence.living(host.home / "run", "consumer")) == 1


def test_a_cron_line_runs_once(host: Host, tmp_path: Path) -> None:
    """For a host that kills what lives long: it sweeps, archives, and is gone when the line ends."""
    (line,) = cron.lines(Job(host.home, "laptop", sys.executable, ENV["PYTHONPATH"], once=True))
    done = subprocess.run(
        ["/bin/sh", "-c", line.removeprefix(f"{cron.EVERY} ")],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert "there is no peer to dial" in done.stderr
    assert presence.living(host.home / "run") == []


# -- launchd ----------------------------------------------------------------------------------


def test_an_agent_is_a_property_list_that_says_the_same(tmp_path: Path) -> None:
    """Read back as macOS reads it; a comment says for which home it was written."""
    made = Job(tmp_path / "a -- b <&>", "laptop", "/p", "/lib")
    agent = plistlib.loads(launchd.plist(made))

    assert agent["ProgramArguments"] == made.arguments
    assert agent["EnvironmentVariables"] == {"SPOOL_HOME": str(made.home), "PYTHONPATH": "/lib"}
    assert (agent["KeepAlive"], agent["ExitTimeOut"]) == ({"SuccessfulExit": False}, STOP_S)


# -- which, and whether ------------------------------------------------------------------------


def test_print_shows_and_writes_nothing(host: Host, tools: Path) -> None:
    """For a person who wants to read it first, or to put it somewhere else."""
    told = run(host, tools, "install", "--print").stdout
    assert "in your crontab" in told and "up --detach" in told
    assert "[Service]" in run(host, tools, "install", "--print", "--how", "systemd").stdout

    assert sorted(path.name for path in tools.iterdir()) == ["crontab"]


def test_nothing_is_written_unasked(host: Host, tools: Path) -> None:
    """A script that has nobody to ask says so."""
    done = run(host, tools, "install", check=1)

    assert "--yes" in done.stderr
    assert not (tools / "table").exists()


def test_where_nothing_keeps_a_program_running_it_says_what_does(host: Host, tools: Path) -> None:
    """One line, with the way out."""
    (tools / "crontab").unlink()

    done = run(host, tools, "install", "--yes", check=1)

    assert "there is no crontab" in done.stderr and "spool up --detach" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["/h/a\nb", "/h/\udcff"])
def test_a_path_that_no_file_can_hold_is_refused(path: str) -> None:
    """A line's end in it would begin a line of its own."""
    with pytest.raises(BadInput, match="no service can name it"):
        job(Path(path), "laptop")
