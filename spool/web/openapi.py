"""The OpenAPI description of what `spool web` answers, made from the types that are sent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from spool.transports import frames
from spool.transports import http_words as words
from spool.version import VERSION

_REF: Final = "#/components/schemas/{name}"
_PLAIN: Final = {
    "type": "object",
    "description": "A message, or an ack: an object with re and status and neither subject nor body.",
    "properties": {
        "id": {"type": "string"},
        "from": {"type": "string"},
        "to": {"type": "string"},
        "subject": {"type": "string"},
        "body": {"type": "string"},
        "re": {"type": "string"},
        "status": {"type": "string"},
    },
    "additionalProperties": True,
}
_WHY: Final = {
    "400": "It cannot be read.",
    "401": "Not believed: an unknown peer, a wrong signature, an old timestamp, a request that came before.",
    "403": "The two hosts cannot have to do with each other.",
    "409": "The session is over: say hello again.",
    "413": "The request is too long.",
    "415": "The body is compressed.",
    "422": "The message is refused, for good.",
    "426": "The two versions have no protocol in common.",
    "429": "Too many requests; Retry-After says when.",
    "503": "Not now; Retry-After says when.",
}
_ALWAYS: Final = ("400", "401", "413", "415", "429", "503")


def description(path: str) -> dict[str, Any]:
    """The description of a server below `path`, version 3.1."""
    _, schemas = msgspec.json.schema_components(_sent(), ref_template=_REF)
    schemas["Plain"] = _PLAIN
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "spool web",
            "version": VERSION,
            "description": "Durable mail between agents, over HTTPS. Every request is signed as Standard"
            " Webhooks has it, by a secret that the two hosts share; spool-peer names the peer that asks.",
        },
        "paths": {
            path: {"post": _plain()},
            path + words.HELLO: {
                "post": _operation(
                    "hello", "Greet", "Greeting", "Say who asks, and open a session.", "403", "409", "426"
                )
            },
            path + words.BATCH: {
                "post": _operation("batch", "Batch", "Taken", "Hand over messages and acks.")
            },
            path + words.POLL: {"post": _operation("poll", "Poll", "Mail", "Wait for mail.", "409")},
            path + words.OPENAPI: {"get": _own()},
        },
        "components": {"schemas": schemas, "parameters": _headers()},
    }


def _sent() -> list[type]:
    """The types that travel; of a message that is within, all that is known is that it is JSON."""
    item = _like(frames.Item, m=Any)
    with_items = [_like(cls, messages=list[item]) for cls in (words.Batch, words.Mail)]  # type: ignore[valid-type]
    return [words.Greet, words.Greeting, words.Taken, words.Poll, words.Outcome, words.Trouble, *with_items]


def _like(cls: type[msgspec.Struct], **changed: Any) -> type:
    fields: list[Any] = []
    for field in msgspec.structs.fields(cls):
        kind: Any = changed.get(field.name, field.type)
        if field.required:
            fields.append((field.encode_name, kind))
        elif field.name in changed:
            fields.append(
                (field.encode_name, kind, None if kind is Any else msgspec.field(default_factory=list))
            )
        elif field.default_factory is not msgspec.NODEFAULT:
            fields.append((field.encode_name, kind, msgspec.field(default_factory=field.default_factory)))
        else:
            fields.append((field.encode_name, kind, field.default))
    return msgspec.defstruct(cls.__name__, fields, namespace={"__doc__": cls.__doc__})


def _operation(name: str, asked: str, answered: str, what: str, *more: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": what,
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": _of(asked)},
        "responses": {"200": {"description": "Taken.", "content": _of(answered)}, **_troubles(*more)},
    }


def _plain() -> dict[str, Any]:
    said = {"description": "What came of it.", "content": _of("Outcome")}
    return {
        "operationId": "post",
        "summary": "Post one message or ack, as a script writes it; or several, one a line.",
        "parameters": _parameters(),
        "requestBody": {
            "required": True,
            "content": {**_of("Plain"), "application/x-ndjson": {"schema": {"type": "string"}}},
        },
        "responses": {
            "200": {
                **said,
                "content": {**_of("Outcome"), "application/x-ndjson": {"schema": {"type": "string"}}},
            },
            **_troubles(),
            "422": {**said, "description": _WHY["422"]},
            "503": {"description": _WHY["503"], "content": _any("Outcome", "Trouble")},
        },
    }


def _own() -> dict[str, Any]:
    return {
        "operationId": "openapi",
        "summary": "This description.",
        "parameters": _parameters(),
        "responses": {
            "200": {"description": "It.", "content": {"application/json": {"schema": {"type": "object"}}}},
            **_troubles(),
        },
    }


def _troubles(*more: str) -> dict[str, Any]:
    return {
        status: {"description": _WHY[status], "content": _of("Trouble")}
        for status in sorted({*_ALWAYS, *more})
    }


def _of(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}


def _any(*names: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"anyOf": [{"$ref": _REF.format(name=name)} for name in names]}}}


def _parameters() -> list[dict[str, str]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in _headers()]


def _headers() -> dict[str, dict[str, Any]]:
    told = {
        "spool-peer": "The name under which this host knows the one that asks.",
        "webhook-id": "Of this request; the same again where it is tried again. Signed.",
        "webhook-timestamp": "Seconds since the epoch; believed for five minutes. Signed.",
        "webhook-signature": "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.",
    }
    return {
        name: {
            "name": name,
            "in": "header",
            "required": True,
            "description": what,
            "schema": {"type": "string"},
        }
        for name, what in told.items()
    }
