"""No credentials in messages: what trips the check, what does not, and what the error says.

Every example is put together at run time, so that nothing that scans this repository trips on it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from spool import log
from spool.cli.failing import tell
from spool.errors import SecretFound
from spool.message import Message, parse, seal
from spool.secret_rules import RULES, SCAN_BYTES, Scan, find
from tests.credentials import CAPITALS, HEX, KINDS, SORTS, Forge, chaff, planted

VECTORS = {path.stem: path.read_bytes() for path in Path(__file__).parents[1].glob("vectors/*.json")}
_rng = random.Random(7)
_forge = Forge(7)
some = _forge.some

# One at least for each rule.
POSITIVE = {
    "private-key": [
        "-----BEGIN " + kind + "PRIVATE " + "KEY-----" for kind in ("", "RSA ", "OPENSSH ", "EC ")
    ]
    + ["-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "PuTTY-" + "User-Key-File-3: ssh-ed25519"],
    "age-key": ["AGE-" + "SECRET-KEY-1" + some(58, CAPITALS)],
    "aws-access-key": ["AK" + "IA" + some(16, CAPITALS)],
    "aws-session-key": ["AS" + "IA" + some(16, CAPITALS)],
    "github-token": ["gh" + kind + "_" + some(36) for kind in "pousr"],
    "github-fine-token": ["github" + "_pat_" + some(22) + "_" + some(59)],
    "gitlab-token": ["gl" + "pat-" + some(20), "gl" + "rt-" + some(20)],
    "anthropic-key": ["sk-" + "ant-api03-" + some(90)],
    "openai-key": ["sk" + "-" + some(48), "sk-" + "proj-" + some(60)],
    "slack-token": ["xo" + f"x{kind}-" + some(12, string.digits) + "-" + some(24) for kind in "bp"]
    + ["xa" + "pp-1-" + some(30)],
    "slack-webhook": ["hooks.slack" + f".com/services/T{some(8)}/B{some(8)}/{some(24)}"],
    "discord-webhook": ["/api/web" + f"hooks/{some(18, string.digits)}/{some(60)}"],
    "telegram-token": [":A" + "A" + some(33)],
    "google-api-key": ["AI" + "za" + some(35)],
    "google-secret": ["GOC" + "SPX-" + some(28)],
    "google-token": ["ya" + "29." + some(60)],
    "azure-key": ["Account" + "Key=" + some(86) + "=="],
    "stripe-key": ["k" + "_live_" + some(24)],
    "webhook-secret": ["whs" + "ec_" + some(32)],
    "twilio-key": ["S" + "K" + some(32, HEX)],
    "sendgrid-key": ["S" + "G." + some(22) + "." + some(43)],
    "npm-token": ["np" + "m_" + some(36), "_auth" + "Token=" + some(36)],
    "pypi-token": ["pypi-" + "AgEI" + some(60)],
    "huggingface-token": ["h" + "f_" + some(34, string.ascii_letters)],
    "docker-token": ["dc" + "kr_pat_" + some(27)],
    "digitalocean-token": ["_v" + "1_" + some(64, HEX)],
    "vault-token": ["hv" + "s." + some(24)],
    "databricks-token": ["dap" + "i" + some(32, HEX)],
    "shopify-token": ["sh" + "pat_" + some(32, HEX)],
    "grafana-token": ["gl" + "sa_" + some(32) + "_" + some(8, HEX)],
    "linear-key": ["lin_" + "api_" + some(40)],
    "atlassian-token": ["ATA" + "TT3" + some(60)],
    "groq-key": ["gs" + "k_" + some(52)],
    "url-password": ["://bob:" + some(12) + "@db.example/x", "://x:" + some(8) + "@h:8080"],
    "jwt": ["ey" + "J" + some(30) + "." + "eyJ" + some(60) + "." + some(43)],
    "assigned-password": ["assword: " + _forge.password(), 'asswd" : "' + _forge.password()],
    "assigned-secret": ["ecret=" + some(32), "ECRET_KEY=" + some(32, HEX), "ecretAccessKey: " + some(40)],
    "assigned-key": ["pi_key = " + some(32), "ccess_key: " + some(20)],
    "assigned-token": ["_token=" + some(30), "_TOKEN=" + some(30), 'Token": "' + some(40)],
    "auth-header": ["uthorization: Basic " + some(24), "uthorization: Bearer " + some(40)],
    "netrc-password": ["login bob password " + some(9)],
}
# What stands before the part that a rule begins with, where it must.
BEFORE = {
    "telegram-token": "12345678",
    "stripe-key": "s",
    "digitalocean-token": "dop",
    "assigned-secret": "s",
}
EVERY = [(rule, BEFORE.get(rule, "") + text) for rule, found in POSITIVE.items() for text in found]


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

    at = around.index("{") + len(BEFORE.get(rule, ""))
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


def test_of_sixty_planted_credentials_fifty_seven_are_found() -> None:
    """Of twenty kinds, three of each, as people write them; other ones give the same rate."""
    assert (len(planted()), len(KINDS)) == (60, 20)
    for seed in (11, 12, 13, 14, 15):
        missed = [kind for kind, text in planted(seed) if find(f"use this: {text} .") is None]
        assert len(missed) <= 3, missed


@pytest.mark.parametrize("sort", SORTS)
def test_five_megabytes_of_chaff_give_one_false_alarm_at_most(sort: str) -> None:
    """None in its own eighth. What cries wolf over a lock file gets switched off."""
    text = chaff(sort, 5_200_000 // len(SORTS))
    alarms = [hit for at in range(0, len(text), 50_000) if (hit := find(text[at : at + 50_000])) is not None]

    assert len(text) >= 650_000
    assert alarms == []


@pytest.mark.parametrize(
    "said",
    [
        "password = getPassword2(user)",
        "secret = /run/secrets/Db1/Password2",
        "password: hunter2-is-an-old-joke",
        "PASSWORD=$DB_PASSWORD_1",
        "PASSWORD=${Db1Password}",
        'password = os.environ["PASSWORD1"]',
        "password: <Your-Password-123>",
        'api_key = "your-Api-Key-0123456789"',
        "secret: op://vault/Item1/Password2",
        'secret = "arn:aws:secretsmanager:eu-1:1234:secret:Prod/Db1"',
        "token_count: 12345678901234567890",
        "nextToken: " + "aB3" * 10,
        "Authorization: Bearer <token>",
        "Authorization: Bearer $TOKEN",
        "the password was changed on 2025-11-13",
        "secretName: tls-7f9c2b4d",
    ],
)
def test_a_name_is_no_secret(said: str) -> None:
    """What stands there is where it is kept; that is what the hint asks for."""
    assert find(said) is None


@pytest.mark.parametrize(
    "text",
    [
        "://" * 33_000,
        "eyJ" * 33_000,
        ("eyJ" + "a" * 17 + ".") * 4_800,
        "secret=" * 14_000,
        'password="' + "a" * 90_000,
        "Token:" * 16_000,
        "-----BEGIN " * 9_000,
        "login " * 16_000,
        "_" * 100_000,
        "a_" * 50_000,
        "sk-" * 33_000,
        "AKIA" * 25_000,
        "password:" + "Aa1" * 30_000,
    ],
    ids=lambda text: text[:12],
)
def test_nobody_can_write_a_text_that_takes_long(text: str) -> None:
    """A message of 100 KB takes some milliseconds; one made to take minutes would stop a host."""
    began = time.process_time()
    find(text)

    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("rule", list(POSITIVE))
def test_no_error_log_line_or_json_holds_it(
    rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them is kept, and read by others."""
    secret = BEFORE.get(rule, "") + POSITIVE[rule][-1]
    error = refusal({"context": {"env": f"x {secret} y"}})
    log.configure(tmp_path, role="cli", host="h", version="0", stderr=False)
    log.error("send.failed", error=str(error), hint=error.hint)

    tell(error, as_json=True)
    tell(error, as_json=False)
    said = capsys.readouterr().err + (tmp_path / "log" / "spool.jsonl").read_text()
    assert "context.env" in said and rule in said
    assert secret[len(secret) // 3 :] not in said


@pytest.mark.parametrize("gap", [0, 10, 40, 8000, 200_000])
def test_a_file_is_looked_through_piece_by_piece(gap: int) -> None:
    """Wherever the pieces are cut, and where in the file it stands."""
    secret = POSITIVE["github-token"][0].encode()
    for size in (64, 4096, 1 << 20):
        scan, text = Scan(), b"\xe4 " * (gap // 2) + secret + b" and more" * 40
        hits = [scan.feed(text[at : at + size]) for at in range(0, len(text), size)]
        found = [hit for hit in hits if hit is not None]
        assert (found[0].rule, found[0].offset) == ("github-token", gap // 2 * 2)


def test_what_is_no_text_or_far_behind_is_not_looked_at() -> None:
    """A picture has no credentials, and a file of gigabytes must not take minutes."""
    secret = POSITIVE["github-token"][0].encode()
    assert Scan().feed(b"\x89PNG\0" + secret) is None

    scan = Scan()
    assert scan.feed(b" " * SCAN_BYTES) is None and not scan.goes_on
    assert scan.feed(secret) is None
