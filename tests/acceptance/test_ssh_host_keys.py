"""Which hosts we talk to: the key that is pinned, the one in known_hosts, and no other."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import BadConfig, HostKeyChanged, HostKeyUnknown, SpoolError
from spool.transports import ssh
from tests.sshd import Sshd, make_home, new_key

pytestmark = pytest.mark.timeout(20)


class Near:
    """This side: a home with a key, an ssh config and a known_hosts of its own."""

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self.sshd = sshd
        self.home, public = make_home(folder)
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "ssh_config"
        self.configure("")
        sshd.authorize(f'restrict,command="cat" {public}')

    def configure(self, text: str) -> None:
        known = f"UserKnownHostsFile {self.known_hosts}\nGlobalKnownHostsFile none\n"
        self.config.write_text(f"{known}{text}\n")

    def peer(self, host_key: str = "") -> Peer:
        return Peer(name="far", url=self.sshd.url, host_key=host_key)

    def connects(self, host_key: str = "") -> bool:
        with contextlib.closing(
            ssh.dial(self.peer(host_key), self.home, as_name="near", ssh_config=self.config)
        ) as pipe:
            pipe.send(b"hello")
            return pipe.receive(5) == b"hello"

    def error(self, host_key: str = "") -> SpoolError:
        with pytest.raises(SpoolError) as caught:
            self.connects(host_key)
        assert "publickey" not in self.sshd.logged(), "we logged in to a host that we do not trust"
        return caught.value

    def shown(self) -> str:
        """The fingerprint of the key that the host has now, by ssh-keygen's word."""
        public = self.sshd.folder / "host_key.pub"
        return subprocess.check_output(["ssh-keygen", "-l", "-f", str(public)], text=True).split()[1]


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Near]:
    with Sshd(tmp_path / "far") as sshd:
        yield Near(tmp_path, sshd)


def test_the_pinned_key_is_enough(near: Near) -> None:
    """known_hosts need not know the host, and may even know another key: the pin comes first."""
    near.known_hosts.write_text(near.sshd.known_hosts.split()[0] + " " + other_key(near) + "\n")

    assert near.connects(near.sshd.host_key)


def test_another_key_than_the_pinned_one_names_both(near: Near) -> None:
    """A person must be able to compare; nothing is sent to that host."""
    old, old_shown = near.sshd.host_key, near.shown()
    near.sshd.restart_with_new_host_key()

    error = near.error(old)

    assert isinstance(error, HostKeyChanged) and error.stops
    assert old_shown in error.message and near.shown() in error.message
    assert f"127.0.0.1:{near.sshd.port}" in error.message


def test_a_key_of_another_type_than_the_pinned_one_is_a_change(tmp_path: Path) -> None:
    """The host has no ed25519 key any more; that is no better than a wrong one."""
    with Sshd(tmp_path / "far", host_key_kind="ecdsa") as sshd:
        near = Near(tmp_path, sshd)
        error = near.error(other_key(near))

        assert isinstance(error, HostKeyChanged) and near.shown() in error.message


def test_a_pin_that_is_no_key_is_a_config_error(near: Near) -> None:
    assert isinstance(near.error("ssh-ed25519 AAAAbogus"), BadConfig)


def test_an_unknown_host_is_refused_with_its_fingerprint(near: Near) -> None:
    """And it stays unknown: nothing is written."""
    error = near.error()

    assert isinstance(error, HostKeyUnknown) and error.stops
    assert near.shown() in error.message and "--fingerprint" in error.hint
    assert not near.known_hosts.exists()


@pytest.mark.parametrize("form", ["plain", "hashed", "wildcard", "among others"])
def test_known_hosts_is_believed(near: Near, form: str) -> None:
    """In every form in which ssh writes or reads a name."""
    name = f"[127.0.0.1]:{near.sshd.port}"
    names = {"wildcard": f"!nobody,[127.0.0.?]:{near.sshd.port}", "among others": f"x.example,{name}"}
    line = f"{names.get(form, name)} {near.sshd.host_key} and a comment\n"
    near.known_hosts.write_text(f"# a comment\n\n{line}")
    if form == "hashed":
        hashing = ["ssh-keygen", "-q", "-H", "-f", str(near.known_hosts)]
        subprocess.run(hashing, check=True, capture_output=True)
        assert "127.0.0.1" not in near.known_hosts.read_text()

    assert near.connects()
    known = ssh.known_key(near.peer(), ssh_config=near.config)
    assert known is not None and near.sshd.host_key == ssh.key_line(known)


def test_a_host_key_alias_is_looked_up_instead(near: Near) -> None:
    """Several hosts behind one address."""
    near.known_hosts.write_text(f"the-box {near.sshd.host_key}\n")
    near.configure("HostKeyAlias the-box")

    assert near.connects()


@pytest.mark.parametrize(
    "line", ["127.0.0.1 {key}", "@cert-authority {name} {key}", "!{name},* {key}", "{name} not a line"]
)
def test_a_line_that_does_not_mean_this_host_proves_nothing(near: Near, line: str) -> None:
    """Another port, an authority's key, a negated name."""
    name = f"[127.0.0.1]:{near.sshd.port}"
    near.known_hosts.write_text(line.format(name=name, key=near.sshd.host_key) + "\n")

    assert isinstance(near.error(), HostKeyUnknown)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_another_key_than_the_known_one_is_a_change(near: Near, kind: str) -> None:
    """Of the same type, or of another."""
    near.known_hosts.write_text(near.sshd.known_hosts.split()[0] + " " + other_key(near, kind) + "\n")

    error = near.error()

    assert isinstance(error, HostKeyChanged) and near.shown() in error.message


@pytest.mark.parametrize("pinned", [True, False])
def test_a_revoked_key_is_refused_wherever_else_it_stands(near: Near, pinned: bool) -> None:
    near.known_hosts.write_text(near.sshd.known_hosts + f"@revoked * {near.sshd.host_key}\n")

    error = near.error(near.sshd.host_key if pinned else "")

    assert isinstance(error, HostKeyChanged) and "@revoked" in error.message


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_the_known_type_is_asked_for(tmp_path: Path, kind: str) -> None:
    """The host has an ed25519 key too, which would come first, and nobody here knows it."""
    extra = tmp_path / "other_host_key"
    new_key(extra)
    with Sshd(tmp_path / "far", host_key_kind=kind, config=f"HostKey {extra}") as sshd:
        near = Near(tmp_path, sshd)
        near.known_hosts.write_text(sshd.known_hosts)

        assert near.connects()
        assert near.connects(sshd.host_key)


def test_the_shown_key_can_be_fetched_without_accepting_it(near: Near) -> None:
    """For `spool peer add` to show; no login is tried."""
    key = ssh.fetch_host_key(near.peer(), ssh_config=near.config)

    assert near.sshd.host_key == ssh.key_line(key)
    assert near.shown() == ssh.fingerprint(key)
    assert ssh.known_key(near.peer(), ssh_config=near.config) is None
    assert "publickey" not in near.sshd.logged()


def other_key(near: Near, kind: str = "ed25519") -> str:
    return " ".join(new_key(near.sshd.folder / "nobodys", kind=kind).split()[:2])
