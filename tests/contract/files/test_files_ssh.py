"""What only a host behind ssh can do: offer less than it should, talk too much, refuse us."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import AuthRefused, HostKeyUnknown, LinkError, NoFilesThere
from spool.transports import scp_scripts, sftp
from spool.transports.base import Files
from spool.transports.scp import Scp
from spool.transports.sftp import Sftp
from tests.folders import forced, sftp_server
from tests.sshd import Sshd, new_key


class Host:
    """A host with an sshd_config of its own."""

    def __init__(self, sshd: Sshd, home: Path) -> None:
        self.sshd = sshd
        self._home = home

    def open(self, **more: object) -> Files:
        """Reach its folders."""
        fields: dict[str, object] = {
            "name": "far",
            "url": self.sshd.url.replace("ssh://", "sftp://"),
            "host_key": self.sshd.host_key,
            "inbox": "~/claude-inbox",
            "connect_timeout_s": 5.0,
            **more,
        }
        return sftp.open_files(Peer(**fields), self._home)  # type: ignore[arg-type]  # fields that Peer has

    def refusal(self, **more: object) -> LinkError:
        """The error that reaching it ends with."""
        with pytest.raises(LinkError) as caught:
            self.open(**more)
        return caught.value


class Hosts:
    """Starts hosts; each is stopped at the end of the test."""

    def __init__(self, stack: ExitStack, folder: Path, key: tuple[Path, str]) -> None:
        self._stack = stack
        self._folder = folder
        self._key = key

    def start(self, config: str = "", *, sftp: bool = True, options: str = "") -> Host:
        """Start one; `options` stand before our key in its authorized_keys."""
        sshd = self._stack.enter_context(Sshd(self._folder / "sshd", config=config, sftp=sftp))
        sshd.authorize(options + self._key[1])
        return Host(sshd, self._key[0])


@pytest.fixture
def hosts(tmp_path: Path, key: tuple[Path, str], no_threads_left: None) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack, tmp_path, key)


def works(files: Files, folder: Path) -> bool:
    """Whether a file gets there, and away again."""
    with closing(files):
        assert files.put([(f"{folder}/.a", b"x" * 70_000)]) == [None]
        assert files.move([(f"{folder}/.a", f"{folder}/a")]) == [True]
        files.sync(str(folder))
        assert files.fetch([f"{folder}/a"], max_bytes=70_000) == [b"x" * 70_000]
        return files.remove([f"{folder}/a"]) == [True]


def test_a_server_without_fsync_is_weak_and_works(hosts: Hosts, tmp_path: Path) -> None:
    """It says so, so that `check` can tell."""
    host = hosts.start(f"Subsystem sftp {sftp_server()} -P fsync", sftp=False)

    files = host.open()

    assert isinstance(files, Sftp) and files.durable is False
    files.write(f"{tmp_path}/part", 0, b"x")
    files.seal(f"{tmp_path}/part")
    assert works(files, tmp_path)


def test_a_server_that_offers_nothing_works(hosts: Hosts, tmp_path: Path) -> None:
    """Plain version 3: no sync, no limits, no space to be asked for, and a look before each rename."""
    denied = "fsync,limits,statvfs,posix-rename,hardlink,lsetstat,expand-path,copy-data,home-directory"
    host = hosts.start(f"Subsystem sftp {sftp_server()} -P {denied}", sftp=False)

    files = host.open()
    (tmp_path / "taken").touch()
    (tmp_path / "old").touch()

    assert files.move([(f"{tmp_path}/old", f"{tmp_path}/taken")]) == [False]
    assert works(files, tmp_path)


def test_a_drop_box_that_nobody_may_read_takes_mail(hosts: Hosts, tmp_path: Path) -> None:
    """Every write was answered with yes; that is all the proof there is."""
    allowed = "open,close,write,fsync,rename,stat,lstat,fstat,fsetstat,limits,statvfs,remove"
    host = hosts.start(options=f'restrict,command="internal-sftp -p {allowed}" ')

    with closing(host.open()) as files:
        assert files.put([(f"{tmp_path}/.a", b"mail")]) == [None]
        assert files.move([(f"{tmp_path}/.a", f"{tmp_path}/a")]) == [True]

    assert (tmp_path / "a").read_bytes() == b"mail"


def test_a_server_that_may_open_few_files_is_not_asked_for_more(hosts: Hosts, tmp_path: Path) -> None:
    """Open files are counted there, and what is over the count fails."""
    script = tmp_path / "few"
    script.write_text(f"#!/bin/sh\nulimit -n 20\nexec {sftp_server()}\n")
    script.chmod(0o755)
    host = hosts.start(f"ForceCommand {script}")

    with closing(host.open()) as files:
        wanted = [(f"{tmp_path}/{n}", b"x") for n in range(100)]
        assert files.put(wanted) == [None] * 100
        assert files.fetch([path for path, _ in wanted], max_bytes=9) == [b"x"] * 100


@pytest.mark.parametrize("what", ["no subsystem", "one that is not installed", "one that fails"])
def test_without_sftp_the_shell_is_used(what: str, hosts: Hosts, tmp_path: Path) -> None:
    """Over the same connection."""
    program = {"one that is not installed": "/nonexistent/sftp-server", "one that fails": "/bin/false"}
    config = f"Subsystem sftp {program[what]}" if what in program else ""

    host = hosts.start(config, sftp=False)
    files = host.open()

    assert isinstance(files, Scp)
    assert works(files, tmp_path)
    assert host.sshd.logged().count("Accepted publickey") == 1


def test_a_start_up_file_that_talks_is_skipped(hosts: Hosts, tmp_path: Path) -> None:
    """It spoils sftp, whose line is not its own; the scripts know their answers by a token."""
    # scp's own line would be spoiled as well: a host where that talks has no files for us.
    quiet = 'case "$SSH_ORIGINAL_COMMAND" in scp*) ;; *) echo "Welcome"; echo "warning" >&2;; esac'
    talk = forced(tmp_path / "talk", quiet)

    files = hosts.start(f"{talk}\nSubsystem sftp {sftp_server()}", sftp=False).open()

    assert isinstance(files, Scp) and works(files, tmp_path)


def test_a_cut_upload_is_never_a_message(hosts: Hosts, tmp_path: Path) -> None:
    """scp says nothing of what it did not get to see; the hash does."""
    cut = 'dd bs=1 count=30000 status=none | eval "$SSH_ORIGINAL_COMMAND"; exit'
    lying = forced(tmp_path / "cut", f'case "$SSH_ORIGINAL_COMMAND" in scp*) {cut};; esac')
    folder = tmp_path / "inbox"
    folder.mkdir()

    with closing(hosts.start(lying, sftp=False).open()) as files:
        [failed] = files.put([(f"{folder}/a", b"x" * 50_000)])

    assert failed is not None and list(folder.iterdir()) == []


def test_a_bundle_that_lost_bytes_makes_no_file(hosts: Hosts, tmp_path: Path) -> None:
    """Whatever took them: what stands there is compared with the hash of what was sent."""
    lose = f'eval "$SSH_ORIGINAL_COMMAND"; s=$?; truncate -s -1 {tmp_path}/inbox/.bundle*; exit $s'
    lying = forced(tmp_path / "lose", f'case "$SSH_ORIGINAL_COMMAND" in scp*) {lose};; esac')
    folder = tmp_path / "inbox"
    folder.mkdir()

    with closing(hosts.start(lying, sftp=False).open()) as files:
        whole, short = files.put([(f"{folder}/a", b"first"), (f"{folder}/b", b"second")])

    assert whole is None and short is not None and "not what was written" in short.reason
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_key_for_one_command_only_reaches_no_files(hosts: Hosts) -> None:
    """The hint says which line to change."""
    error = hosts.start(options='restrict,command="cat" ').refusal(connect_timeout_s=1.0)

    assert isinstance(error, NoFilesThere) and "forced command" in error.hint


def test_a_host_that_lacks_a_program_says_which(hosts: Hosts, tmp_path: Path) -> None:
    """Without scp nothing could be sent."""
    for name in ("sh", "cat", "dd", "head", "tail", "stat", "rm", "mkdir", "chmod", "sync", "xargs", "mv"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)

    error = hosts.start(
        f'ForceCommand env PATH={tmp_path} sh -c "$SSH_ORIGINAL_COMMAND"', sftp=False
    ).refusal()

    assert isinstance(error, NoFilesThere)
    assert "scp" in error.message and "sha256sum" in error.message and "sftp" in error.hint


def test_a_refused_key_says_how_to_let_it_in(hosts: Hosts, tmp_path: Path) -> None:
    """`peer authorize` would give it a spool, which is not there."""
    host = hosts.start()
    stranger = Host(host.sshd, tmp_path / "stranger")
    new_key(tmp_path / "stranger" / "keys" / "id_ed25519")

    error = stranger.refusal()

    assert isinstance(error, AuthRefused) and error.stops
    assert 'identity = "user"' in error.hint and "authorized_keys" in error.hint


def test_an_unknown_host_key_is_never_accepted(hosts: Hosts) -> None:
    """Nothing is sent to a host that nobody compared."""
    host = hosts.start()

    assert isinstance(host.refusal(host_key=""), HostKeyUnknown)
    assert "Accepted" not in host.sshd.logged()


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox"])
def test_the_script_is_sound_for_every_shell(shell: str) -> None:
    """And holds nothing that fish or csh would take for their own."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    parse = [shell, *(["sh"] if shell == "busybox" else []), "-n"]
    assert not set(scp_scripts.SCRIPT) & set("'!\n")
    done = subprocess.run(parse, input=scp_scripts.SCRIPT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
