"""The OpenAPI description says what is so: requests and answers of a whole exchange are held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest

from spool.api import Spool
from spool.web.openapi import description
from tests.web import PATH, Listening, item, letter


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Listening]:
    """A home that listens."""
    made = Listening(tmp_path)
    yield made
    made.close()


@pytest.fixture
def described(door: Listening) -> dict[str, Any]:
    """What is served."""
    headers = door.signed(b"")
    answer = door.client.get(door.base + PATH + "/openapi.json", headers=headers)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def holds(described: dict[str, Any], content: dict[str, Any], value: Any) -> None:
    """Raise where a value is not as the description says; a key that it does not name is one, too."""
    whole = json.loads(json.dumps(described))
    for schema in whole["components"]["schemas"].values():
        if schema.get("type") == "object" and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    jsonschema.Draft202012Validator({**content["schema"], "components": whole["components"]}).validate(value)


def exchange(described: dict[str, Any], door: Listening, said: Any, path: str = "") -> httpx2.Response:
    """Post what the description allows, and hold the answer against it."""
    operation = described["paths"][PATH + path]["post"]
    holds(described, operation["requestBody"]["content"]["application/json"], said)
    answer = door.post(said, path)
    kind = answer.headers["content-type"]
    holds(described, operation["responses"][str(answer.status_code)]["content"][kind], answer.json())
    return answer


def test_a_whole_exchange_is_as_described(door: Listening, described: dict[str, Any]) -> None:
    """Who writes a client from it must not be misled."""
    with Spool(door.home, agent="me") as spool:
        spool.send("cloud-1", subject="Hello")
    greet = {"hello": {"f": "hello", "host": "cloud", "clock": 1.0}}
    session = exchange(described, door, greet, "/hello").json()["session"]
    batch = {
        "messages": [item("msg-2")],
        "acks": [{"from": "cloud-1", "to": "me", "re": "msg-x", "status": "read"}],
        "query": [{"from": "cloud-1", "id": "msg-2"}],
        "counts": {"unread": 1, "queued": 0, "agents": [{"name": "cloud-1", "unread": 1}]},
    }
    taken = exchange(described, door, batch, "/batch").json()
    mail = exchange(described, door, {"session": session, "wait_s": 0}, "/poll").json()
    poll = {"session": session, "n": mail["n"], "results": [{"r": "accepted", "at": 1.0}], "wait_s": 0}

    assert exchange(described, door, poll, "/poll").status_code == 200
    assert taken["answers"][0]["status"] == "received"
    assert mail["messages"]


def test_plain_messages_and_troubles_are_as_described(door: Listening, described: dict[str, Any]) -> None:
    """The statuses that a script meets."""
    statuses = [
        exchange(described, door, said, path).status_code
        for said, path in (
            (letter(), ""),
            ({"from": "cloud-1"}, ""),
            ({"re": "msg-unknown", "status": "read"}, ""),
            ({"session": "none", "wait_s": 0}, "/poll"),
            ({"hello": {"f": "hello", "host": "here"}}, "/hello"),
        )
    ]

    assert statuses == [200, 422, 422, 409, 403]


def test_it_is_not_shown_to_strangers(door: Listening) -> None:
    """It says what runs here, and which version."""
    assert door.client.get(door.base + PATH + "/openapi.json").status_code == 401


def test_every_reference_leads_somewhere() -> None:
    """And each endpoint is named once."""
    said = json.dumps(found := description("/chat"))
    for kind, names in found["components"].items():
        for name in names:
            assert f"#/components/{kind}/{name}" in said or name in ("Trouble",)
    referred = {part.split('"')[0] for part in said.split('"$ref": "#/components/')[1:]}
    known = {f"{kind}/{name}" for kind, names in found["components"].items() for name in names}
    assert referred <= known
