"""No credentials in messages: what trips the check, what does not, and what the error says.

Every example is put together at run time, so that nothing that scans this repository trips on it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import uuid
from pathlib import Path
from typing import Any

import pytest

from spool.errors import SecretFound
from spool.message import Message, parse, seal
from spool.secret_rules import RULES, find

VECTORS = {path.stem: path.read_bytes() for path in Path(__file__).parents[1].glob("vectors/*.json")}
_rng = random.Random(7)


def some(n: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(_rng.choices(letters, k=n))


CAPITALS = string.ascii_uppercase + string.digits
POSITIVE = {
    "private-key": [
        "-----BEGIN " + kind + "PRIVATE " + "KEY-----" for kind in ("", "RSA ", "OPENSSH ", "EC ")
    ]
    + ["-----BEGIN PGP " + "PRIVATE KEY BLOCK-----"],
    "aws-access-key": ["AK" + "IA" + some(16, CAPITALS)],
    "aws-session-key": ["AS" + "IA" + some(16, CAPITALS)],
    "github-token": ["gh" + kind + "_" + some(36) for kind in "pousr"],
    "github-fine-token": ["github" + "_pat_" + some(22) + "_" + some(59)],
    "gitlab-token": ["gl" + "pat-" + some(20)],
    "anthropic-key": ["sk-" + "ant-api03-" + some(90)],
    "openai-key": ["sk" + "-" + some(48), "sk-" + "proj-" + some(60)],
    "slack-token": ["xo" + f"x{kind}-" + some(12, string.digits) + "-" + some(24) for kind in "bp"],
    "google-api-key": ["AI" + "za" + some(35)],
    "stripe-key": ["sk" + "_live_" + some(24), "rk" + "_live_" + some(24)],
    "npm-token": ["np" + "m_" + some(36)],
    "pypi-token": ["pypi-" + "AgEI" + some(60)],
    "url-password": ["postgres://bob:" + some(12) + "@db.example/x", "https://x:" + some(8) + "@h:8080"],
    "jwt": ["ey" + "J" + some(30) + "." + "eyJ" + some(60) + "." + some(43)],
}
EVERY = [(rule, text) for rule, found in POSITIVE.items() for text in found]


def make(given: dict[str, Any]) -> Message:
    whole = {"from": "a", "to": "b", "subject": "s", **given}
    return seal(whole, id="msg-1", timestamp="2025-11-13T10:30:45Z")


def refusal(given: dict[str, Any]) -> SecretFound:
    with pytest.raises(SecretFound) as caught:
        make(given)
    return caught.value


def test_every_rule_has_an_example() -> None:
    """A rule that nothing tests may never have worked."""
    assert set(POSITIVE) == {rule.name for rule in RULES}


@pytest.mark.parametrize(("rule", "secret"), EVERY, ids=[rule for rule, _ in EVERY])
@pytest.mark.parametrize(
    "around", ["{}", "use {} please", "line one\n{}\nline three", "\t{}", 'k="{}"', "k={},"]
)
def test_a_credential_is_found_wherever_it_stands(rule: str, secret: str, around: str) -> None:
    """In a sentence, on a line of its own, in quotes."""
    error = refusal({"body": around.format(secret)})

    at = around.index("{") + max(0, secret.find("://"))
    assert error.message == f"body: looks like a credential (rule {rule}, at character {at})"


@pytest.mark.parametrize(("rule", "secret"), EVERY, ids=[rule for rule, _ in EVERY])
def test_the_error_never_holds_the_secret(rule: str, secret: str) -> None:
    """It is printed, logged and pasted; it says what to do instead, and not how to get round it."""
    error = refusal({"body": f"it is {secret}"})

    said = f"{error} {error!r} {error.hint} {error.args}"
    assert secret not in said and secret[4:20] not in said
    assert "take it out" in said and "allow" not in said


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (lambda s: {"subject": s}, "subject"),
        (lambda s: {"context": {"env": {"KEY": s}}}, "context.env.KEY"),
        (lambda s: {"context": {"lines": ["a", s]}}, "context.lines[1]"),
        (lambda s: {"solution": s}, "solution"),
        (lambda s: {"artifacts": [{"of": s}]}, "artifacts[0].of"),
        (lambda s: {"type": s}, "type"),
        (lambda s: {"context": {s: 1}}, "a name in context"),
        (lambda s: {s: 1}, "a name in the message"),
    ],
)
def test_the_error_names_the_place(given: Any, place: str) -> None:
    """Fields of the sender's own and names of fields included."""
    secret = POSITIVE["github-token"][0]
    error = refusal(given(secret))

    assert error.message.startswith(f"{place}: looks like a credential (rule github-token, at character 0)")
    assert secret not in str(error)


@pytest.mark.parametrize("name", ["aws-access-key", "github-token", "url-password", "private-key"])
def test_spelling_it_with_escapes_does_not_hide_it(name: str) -> None:
    """JSON may write any letter as a number; who reads the message sees the letter."""
    secret = POSITIVE[name][0]
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    slashes = json.dumps(secret)[1:-1].replace("/", "\\/")

    for text in (spelt, slashes):
        with pytest.raises(SecretFound):
            seal(
                b'{"from":"a","to":"b","body":"' + text.encode() + b'"}',
                id="msg-1",
                timestamp="2025-11-13T10:30:45Z",
            )


@pytest.mark.parametrize("name", [name for name in VECTORS if name != "ack"])
def test_the_protocols_messages_are_clean(name: str) -> None:
    """What is in use today goes on working."""
    assert seal(VECTORS[name], id="msg-1", timestamp="2025-11-13T10:30:45Z").id


CLEAN = {
    "uuids": " ".join(str(uuid.UUID(int=_rng.getrandbits(128))) for _ in range(200)),
    "git hashes": " ".join(hashlib.sha1(bytes([n])).hexdigest() for n in range(200)),
    "sha256": " ".join(f"sha256:{hashlib.sha256(bytes([n])).hexdigest()}" for n in range(100)),
    "a base64 image": "data:image/png;base64," + base64.b64encode(_rng.randbytes(60_000)).decode(),
    "base64url": base64.urlsafe_b64encode(_rng.randbytes(60_000)).decode(),
    "a public key": "ssh-ed25519 " + base64.b64encode(_rng.randbytes(51)).decode() + " me@host",
    "a certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "a public PEM": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "placeholders": "https://$USER:$PASSWORD@host https://user:<password>@host https://u:{{pw_here}}@h",
    "a masked password": "postgres://bob:****@db/x postgres://bob:***********@db/x",
    "urls with ports": "http://localhost:8080/a@b http://h:8080?mail=me@example.com ssh://bob@box:2222 http://h:80#a@b",
    "a url and an address": "see https://example.com: then write to me@example.com",
    "words": "risk-averse task-oriented desk-bound through the night; ghp_short AKIA pypi- xoxo-love",
    "kebab case": "sk-learn and disk-usage-of-all-the-mounted-file-systems-on-this-very-host-and-others",
    "code": 'token = os.environ["GITHUB_TOKEN"]; key = vault.read("kv/openai")["sk"]',
    "a path": "/home/me/.ssh/id_ed25519 holds the PRIVATE KEY",
    "version pins": "\n".join(f"package-{n}=={n}.{n}.0 --hash=sha256:{'0a' * 32}" for n in range(50)),
}


@pytest.mark.parametrize("name", list(CLEAN))
def test_clean_texts_do_not_trip(name: str) -> None:
    """A check that cries wolf is a check that gets switched off."""
    assert find(CLEAN[name]) is None
    assert make({"body": CLEAN[name]}).body == CLEAN[name]


def test_relays_do_not_check() -> None:
    """It was checked where it entered; a relay that refused it would only lose it."""
    secret = POSITIVE["npm-token"][0]
    sealed = seal(
        {"from": "a", "to": "b", "body": secret},
        id="msg-1",
        timestamp="2025-11-13T10:30:45Z",
        allow_secrets=True,
    )

    assert parse(sealed.raw, filled=sealed.filled).body == secret
