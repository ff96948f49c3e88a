"""The line of authorized_keys that ties a key to a peer and to one command."""

from __future__ import annotations

import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spool.authorized import line_for, parse_key, remove, write
from spool.errors import BadInput
from tests.sshd import Sshd, new_key

HOME = Path("/home/me/.spool")
COMMAND = ["/usr/local/bin/spool"]
SSH = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three public keys by the real ssh-keygen."""
    folder = tmp_path_factory.mktemp("keys")
    return [new_key(folder / str(n)) for n in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An authorized_keys that is not there yet, nor its folder."""
    return tmp_path / ".ssh" / "authorized_keys"


def line(key: str, peer: str = "laptop", home: Path = HOME) -> str:
    return line_for(key, peer=peer, command=COMMAND, home=home)


def filled(path: Path, content: bytes) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def fingerprints(path: Path) -> list[str]:
    """What the real ssh-keygen reads in a file of keys."""
    ran = subprocess.run(["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True)
    return [each.split()[1] for each in ran.stdout.splitlines()]


def test_the_line(keys: list[str]) -> None:
    """restrict first, then the one command, then the key."""
    kind, blob, _ = keys[0].split()

    assert line(keys[0]) == (
        'restrict,command="/usr/local/bin/spool --home /home/me/.spool serve --peer laptop"'
        f" {kind} {blob} spool-test"
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_every_kind_of_key_is_read_back_by_ssh_keygen(tmp_path: Path, path: Path, kind: str) -> None:
    """With the fingerprint of the key itself."""
    key = new_key(tmp_path / "key", kind=kind)
    write(path, line(key), peer="laptop")

    assert fingerprints(path) == fingerprints(tmp_path / "key.pub")


@pytest.mark.parametrize(
    "comment", ['a"b', "x\ny", "a b c", "'; rm -rf /", "é", "y" * 300, 'z",command="/bin/sh']
)
def test_a_comment_can_do_nothing(keys: list[str], comment: str) -> None:
    """It is another host's to choose."""
    kind, blob, _ = keys[0].split()
    made = line(f"{kind} {blob} {comment.splitlines()[0]}")

    assert made.count('"') == 2 and made.count("command=") == 1
    assert len(made.split(blob)[1]) <= 65


ODD = [
    "it's here",
    'say "hi"',
    "back\\slash",
    'both\\"ways',
    "dollar$HOME",
    "semi;colon",
    "a  b",
    "ünïcode",
    "`id`",
]


def test_odd_paths_arrive_as_they_are(tmp_path: Path, keys: list[str]) -> None:
    """Through sshd and the login shell: the real ones, with a command that prints what it was given."""
    key = new_key(tmp_path / "client")
    show = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))"]
    with Sshd(tmp_path / "far") as sshd:
        (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
        home = Path("/somewhere") / " ".join(ODD)
        sshd.authorize(line_for(key, peer="p", command=show, home=home))
        there = ["-p", str(sshd.port), f"{sshd.user}@127.0.0.1", "ignored"]
        command = [*SSH, f"UserKnownHostsFile={tmp_path / 'known'}", "-i", str(tmp_path / "client"), *there]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )

    assert ran.stdout.strip() == ascii(["--home", str(home), "serve", "--peer", "p"])


@pytest.mark.parametrize("odd", ["line\nbreak", "car\rriage", "nul\x00", "\x1b[2J"])
def test_a_path_that_would_break_the_line_is_refused(keys: list[str], odd: str) -> None:
    """A second line in that file is a second key."""
    with pytest.raises(BadInput, match="cannot stand in one line"):
        line(keys[0], home=Path(odd))


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_line_is_known_again(path: Path, keys: list[str], odd: str) -> None:
    """Written twice, replaced, and removed, as any other."""
    home = Path("/h") / odd
    write(path, line(keys[0], home=home), peer="laptop")

    assert not write(path, line(keys[0], home=home), peer="laptop").changed
    assert write(path, line(keys[0]), peer="laptop").changed
    assert write(path, line(keys[0], home=home), peer="laptop").changed
    assert path.read_text() == line(keys[0], home=home) + "\n"
    assert remove(path, peer="laptop", home=home)
    assert path.read_text() == ""


def test_the_file_and_its_folder_are_made(path: Path, keys: list[str]) -> None:
    """With the modes on which sshd insists."""
    written = write(path, line(keys[0]), peer="laptop")

    assert (written.path, written.line, written.changed) == (path.resolve(), line(keys[0]), True)
    assert path.read_text() == line(keys[0]) + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_same_line_again_changes_nothing(path: Path, keys: list[str]) -> None:
    """Not even the file's time."""
    write(path, line(keys[0]), peer="laptop")
    before = path.stat()

    assert not write(path, line(keys[0]), peer="laptop").changed
    assert path.stat() == before


FOREIGN = (
    b"# my keys\n\n  # indented\nssh-rsa AAAAB3Nza other@host\r\n"
    b"# caf\xe9 and \xe2\x80\xa8 and \x0b and \x85\n"
    b'from="10.*" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 third\nthis is no key at all\n'
)


@pytest.mark.parametrize("end", [b"", b"\n\n", b"last line without an end"])
def test_other_lines_stay_as_they_are(path: Path, keys: list[str], end: bytes) -> None:
    """Comments, order, odd bytes and odd line ends, when one is added and when it is taken out."""
    filled(path, FOREIGN + end)
    write(path, line(keys[0]), peer="laptop")

    kept = FOREIGN + end + (b"\n" if end and not end.endswith(b"\n") else b"")
    assert path.read_bytes() == kept + line(keys[0]).encode() + b"\n"
    assert remove(path, peer="laptop", home=HOME)
    assert path.read_bytes() == kept


def test_a_key_in_a_comment_is_not_a_key(path: Path, keys: list[str]) -> None:
    """It was switched off."""
    filled(path, f"#{keys[0]}\n  # {keys[0]}\n".encode())

    assert write(path, line(keys[0]), peer="laptop").changed


def test_the_mode_stays_and_a_link_is_followed(path: Path, keys: list[str]) -> None:
    """Some keep their keys in a repository of their settings."""
    real = filled(path.parent.parent / "real", b"# mine\n")
    real.chmod(0o640)
    path.parent.mkdir()
    path.symlink_to(real)

    assert write(path, line(keys[0]), peer="laptop").path == real.resolve()
    assert path.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text() == "# mine\n" + line(keys[0]) + "\n"
    assert remove(path, peer="laptop", home=HOME)
    assert path.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "before", ["{key}", "  {key}", 'from="10.*" {key}', 'command="/bin/sh" {key}', "{tab}"]
)
def test_the_bare_key_is_refused(path: Path, keys: list[str], before: str) -> None:
    """The earlier line would win: a full shell. The file stays as it is."""
    text = before.format(key=keys[0], tab=keys[0].replace(" ", "\t")).encode() + b"\n"
    filled(path, text)

    with pytest.raises(BadInput, match="stands there already without a forced command"):
        write(path, line(keys[0]), peer="laptop")
    assert path.read_bytes() == text


def test_a_key_of_another_peer_is_refused(path: Path, keys: list[str]) -> None:
    """One key is one sender."""
    write(path, line(keys[0], "desktop"), peer="desktop")

    with pytest.raises(BadInput, match="already speaks for peer 'desktop'"):
        write(path, line(keys[0], "laptop"), peer="laptop")


def test_an_older_line_of_the_same_key_and_peer_is_replaced(path: Path, keys: list[str]) -> None:
    """spool has moved; were both there, the older one would win."""
    older = line_for(keys[0], peer="laptop", command=["/opt/old/spool"], home=HOME)
    filled(path, f"# a\n{older}\n# b\n{line(keys[0])}\n{older}\n".encode())

    assert write(path, line(keys[0]), peer="laptop").changed
    assert path.read_text() == f"# a\n# b\n{line(keys[0])}\n"


def test_a_second_key_of_a_peer_may_stand_beside_the_first(path: Path, keys: list[str]) -> None:
    """Two keys overlap while one is changed for the other."""
    for key in keys[:2]:
        write(path, line(key), peer="laptop")

    assert len(fingerprints(path)) == 2
    assert remove(path, peer="laptop", home=HOME)
    assert path.read_text() == ""


def test_only_the_lines_of_this_peer_and_home_are_removed(path: Path, keys: list[str]) -> None:
    """Two homes of one user share the file."""
    kept = [line(keys[0], "other"), line(keys[1], "laptop", Path("/elsewhere")), keys[2]]
    filled(path, "".join(f"{each}\n" for each in kept).encode())

    assert not remove(path, peer="laptop", home=HOME)
    assert not remove(path, peer="top", home=HOME)
    assert path.read_text().splitlines() == kept


def test_removing_from_a_file_that_is_not_there(path: Path) -> None:
    """There is nothing to do."""
    assert not remove(path, peer="laptop", home=HOME)
    assert not path.exists()


def test_a_private_key_is_refused_in_its_own_words(tmp_path: Path) -> None:
    """The error must not show it either."""
    new_key(tmp_path / "key")
    private = (tmp_path / "key").read_text()

    with pytest.raises(BadInput, match=r"this is a private key; give the \.pub file") as caught:
        line(private)
    assert private.splitlines()[2] not in str(caught.value)


def test_what_is_no_public_key(keys: list[str]) -> None:
    """Nothing, two, one with options, one of another kind, one cut short, one altered."""
    kind, blob, comment = keys[0].split()
    for text in ("", f"{keys[0]}\n{keys[1]}", f"restrict {keys[0]}", f"ssh-dss {blob}", f"{kind} {blob[:9]}"):
        with pytest.raises(BadInput):
            parse_key(text)
    with pytest.raises(BadInput, match="damaged or cut short"):
        parse_key(f"{kind} {blob[4:]} {comment}")
    with pytest.raises(BadInput, match="damaged or cut short"):
        parse_key(f"ssh-rsa {blob} {comment}")


def test_a_pub_file_may_have_comments_around(keys: list[str]) -> None:
    """And an end of line of any system."""
    kind, blob, _ = keys[0].split()

    assert parse_key(f"# laptop\r\n\n{keys[0]}\r\n")[:2] == (kind, blob)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path, keys: list[str]) -> None:
    """Not with a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInput, match=r"file"):
        write(tmp_path / "file" / ".ssh" / "authorized_keys", line(keys[0]), peer="laptop")


def test_the_command_is_one_that_a_shell_reads_back(keys: list[str]) -> None:
    """Word for word."""
    command = ["env", "A=b c", "/opt/my spool/spool"]
    made = line_for(keys[0], peer="p", command=command, home=HOME)

    inner = made.split('command="', 1)[1].rsplit('" ', 1)[0]
    assert shlex.split(inner) == [*command, "--home", str(HOME), "serve", "--peer", "p"]
