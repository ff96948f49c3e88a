"""No credentials in files that go with a message: looked for while the file is copied."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spool import attachments
from spool.api import Spool
from spool.errors import SecretFound
from spool.folder import Folder
from tests.credentials import Forge, chaff
from tests.desk import Turned, clocked, make_home

SECRET = "gh" + "p_" + Forge(3).some(36)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A host with the agent `me`."""
    with clocked(make_home(tmp_path, "me"), Turned()) as made:
        yield made


def refusal(spool: Spool, path: Path, **more: Any) -> SecretFound:
    """What `send` says of a file; nothing of it was kept."""
    with pytest.raises(SecretFound) as caught:
        spool.send("cloud-1", subject="The log", attach=[path], **more)
    assert Folder(spool.home).found() == {}
    with spool.store.read() as tx:
        assert tx.attachments.names() == set() and tx.outbox.counts() == {}
    return caught.value


def test_a_text_with_a_credential_is_not_attached(spool: Spool, tmp_path: Path) -> None:
    """The rule and the place are told, the secret is not, and nothing of the file stays here."""
    path = tmp_path / "build.log"
    path.write_text("all is well\n" * 1000 + f"token is {SECRET}\n" + "more\n" * 1000)
    error = refusal(spool, path)

    assert error.message == (
        "attachment build.log: looks like a credential (rule github-token, at byte 12,009)"
    )
    said = f"{error} {error!r} {error.hint} {error.args}"
    assert SECRET not in said and SECRET[10:] not in said and "allow" not in said


def test_a_credential_across_two_pieces_is_found(spool: Spool, tmp_path: Path) -> None:
    """A file is read by the megabyte, and it may stand on the edge."""
    path = tmp_path / "large.txt"
    path.write_text("x " * (512 * 1024 - 10) + SECRET + " y" * 1000)

    assert "rule github-token" in refusal(spool, path).message


def test_a_name_that_is_a_credential_is_not_told(spool: Spool, tmp_path: Path) -> None:
    """It would stand in the message, and in every error about the file."""
    path = tmp_path / f"{SECRET}.txt"
    path.write_text("harmless")
    error = refusal(spool, path)

    assert error.message == "the name of an attachment: looks like a credential (rule github-token)"


def test_who_may_allow_it_allows_it_for_files_too(spool: Spool, tmp_path: Path) -> None:
    """A person said so at a terminal; the rule that is broken can be told and logged."""
    path = tmp_path / "env.txt"
    path.write_text(f"PAT={SECRET}")
    id = spool.send("cloud-1", subject="As agreed", attach=[path], allow_secrets=True)

    assert len(Folder(spool.home).found()) == 1 and spool.sent(id)
    assert attachments.secret_rule(path) == "github-token"


def test_what_is_kept_already_is_looked_through_again(spool: Spool, tmp_path: Path) -> None:
    """That one message was allowed it allows no other."""
    path = tmp_path / "env.txt"
    path.write_text(f"PAT={SECRET}")
    spool.send("cloud-1", subject="As agreed", attach=[path], allow_secrets=True)

    with pytest.raises(SecretFound):
        spool.send("cloud-1", subject="Again", attach=[path])


def test_an_answer_with_such_a_file_is_not_sent(spool: Spool, tmp_path: Path) -> None:
    """Whatever way a file goes."""
    asked = spool.send("me", subject="The log, please", agent="me")
    path = tmp_path / "env.txt"
    path.write_text(f"PAT={SECRET}")

    with pytest.raises(SecretFound):
        spool.reply(asked, "here", attach=[path])


@pytest.mark.parametrize("sort", ["package_lock", "diff", "image"])
def test_lock_files_diffs_and_pages_are_attached(spool: Spool, tmp_path: Path, sort: str) -> None:
    """They are what is attached most."""
    path = tmp_path / "file"
    path.write_text(chaff(sort, 300_000))

    assert spool.send("cloud-1", subject="x", attach=[path])


def test_what_is_no_file_has_no_rule(tmp_path: Path) -> None:
    """A pipe nobody writes to is not waited for: `send` says what is wrong with it."""
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()

    assert attachments.secret_rule(tmp_path / "pipe") is None
    assert attachments.secret_rule(tmp_path / "none") is None
    assert attachments.secret_rule(tmp_path) is None
    assert time.monotonic() - began < 60
