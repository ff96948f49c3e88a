"""Signatures of requests by a shared secret: https://www.standardwebhooks.com, version v1."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from spool.errors import BadConfig

PREFIX: Final = "whsec_"
# The specification's own bounds.
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
# The library believes a timestamp within this of its own clock.
TOLERANCE_S: Final = 300.0
HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


def check(secret: str) -> str:
    """Return a secret that can be used: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        BadConfig: it is something else; what it is, is not said.
    """
    hint = "`spool web --new-secret FILE` makes one"
    if not secret.startswith(PREFIX):
        raise BadConfig(f"the shared secret does not begin with {PREFIX}", hint=hint)
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadConfig(f"the shared secret is not base64 behind {PREFIX}", hint=hint) from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise BadConfig(
            f"the shared secret has {len(key)} bytes, not {LEAST_BYTES} to {MOST_BYTES}", hint=hint
        )
    return secret


def sign(secrets: Sequence[str], body: bytes, *, id: str, now: float) -> dict[str, str]:
    """The headers of a signed request: one signature by each secret, so that a secret can be changed."""
    from standardwebhooks.webhooks import Webhook

    at = dt.datetime.fromtimestamp(int(now), tz=dt.UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(id, at, text) for secret in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signatures),
    }


def is_signed(secrets: Sequence[str], body: bytes, headers: Mapping[str, str]) -> str:
    """Why a request is not to be believed; "" where one of the secrets signed it within the time."""
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    why = "no secret"
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as exc:
            why = str(exc)
        except ValueError:
            # An entry without exactly one comma, no base64, or a body that is no text.
            why = "Invalid Signature Headers"
        else:
            return ""
    return why
