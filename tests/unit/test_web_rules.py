"""What spool.toml may say of the web: no secret stands in it, and nothing is spoken in plain by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from spool import config, web_secret
from spool.errors import BadConfig, NoCredential

HOST = '[host]\nname = "here"\nagents = ["me"]\n'


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('listen = "0.0.0.0:8888"', "speaks no TLS"),
        ('listen = "chat.example:8888"', "speaks no TLS"),
        ('listen = "127.0.0.1"', "host:port"),
        ('listen = "127.0.0.1:99999"', "host:port"),
        ('listen = "[x]:80"', "listen"),
        ('path = "chat"', "path"),
        ('path = "/chat/"', "path"),
        ('path = "/{x}"', "path"),
        ('tls_key = "key.pem"', "without tls_cert"),
        ("port = 8888", "unknown key"),
    ],
)
def test_a_table_that_cannot_be_is_told(table: str, says: str) -> None:
    """At the start, with the key that is wrong."""
    with pytest.raises(BadConfig, match=says):
        config.parse(f"{HOST}[web]\n{table}\n")


@pytest.mark.parametrize(
    "table",
    [
        "",
        'listen = "[::1]:8888"',
        'listen = "localhost:0"',
        'listen = "0.0.0.0:8888"\nbehind_proxy = true',
        'listen = "0.0.0.0:443"\ntls_cert = "cert.pem"',
    ],
)
def test_a_table_that_can_be_is_taken(table: str) -> None:
    """Plain HTTP only where nobody else hears it, or where somebody says that a proxy is in front."""
    assert config.parse(f"{HOST}[web]\n{table}\n").web is not None


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        ('url = "https://far.example:8888/chat"', "secret_file"),
        ('url = "http://far.example/chat"\nsecret_file = "x"', "https://"),
        ('url = "https://user:pass@far.example/chat"\nsecret_file = "x"', "form"),
        ('url = "https://far.example/chat?x=1"\nsecret_file = "x"', "form"),
        ('url = "https://far.example:0/chat"\nsecret_file = "x"', "form"),
        ('url = "https://far.example"\nsecret_file = "x"', "form"),
        ('url = "https:///chat"\nsecret_file = "x"', "form"),
        ('secret_file = "x"\nsecret_env = "X"', "one of them"),
        ('secret_env = "1 X"', "variable"),
        ('secret = "whsec_AAAA"', "unknown key"),
    ],
)
def test_a_peer_that_cannot_be_is_told(peer: str, says: str) -> None:
    """Before anything is said to anybody."""
    with pytest.raises(BadConfig, match=says):
        config.parse(f"{HOST}[peers.far]\n{peer}\n")


@pytest.mark.parametrize(
    "url", ["https://far.example:8888/chat", "https://[::1]/a/b/", "http://127.0.0.1:1/chat"]
)
def test_a_peer_that_can_be_is_taken(url: str) -> None:
    """Plain HTTP too, on loopback: a tunnel may end there."""
    assert config.parse(f'{HOST}[peers.far]\nurl = "{url}"\nsecret_env = "X"\n').peer("far").is_web


@pytest.mark.parametrize(
    "text", ["", "password", "whsec_", "whsec_AAAA", "whsec_%%%", "whsec_" + "A" * 200, "a\nb", "whsec_é"]
)
def test_what_is_no_secret_is_told_without_telling_it(tmp_path: Path, text: str) -> None:
    """It might be somebody's password."""
    path = tmp_path / "x.secret"
    path.write_text(text)
    path.chmod(0o600)
    peer = config.parse(f'{HOST}[peers.far]\nsecret_file = "{path}"\n').peer("far")
    with pytest.raises(NoCredential) as raised:
        web_secret.of(peer, tmp_path)
    assert len(text) < 5 or text not in str(raised.value)


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    """With the command that mends it."""
    web_secret.make(tmp_path / "x.secret")
    (tmp_path / "x.secret").chmod(0o644)
    peer = config.parse(f'{HOST}[peers.far]\nsecret_file = "x.secret"\n').peer("far")
    with pytest.raises(NoCredential, match="chmod 600"):
        web_secret.of(peer, tmp_path)


def test_a_new_secret_is_for_its_owner_alone_and_never_the_same(tmp_path: Path) -> None:
    """One that is in use is not overwritten."""
    first, second = (web_secret.make(tmp_path / name) for name in ("one", "two"))

    assert first != second
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadConfig, match="there already"):
        web_secret.make(tmp_path / "one")
    assert (tmp_path / "one").read_text() == first + "\n"
