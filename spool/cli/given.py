"""What the options of `spool peer add` said."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Given(NamedTuple):
    """What the options said; None or empty is nothing."""

    agents: tuple[str, ...]
    via: tuple[str, ...]
    remote_command: str | None
    identity: Literal["spool", "user"] | None
    fingerprint: str | None
    yes: bool
    inbox: str | None = None
    outbox: str | None = None
    acks: bool | None = None
    mode: str | None = None
    poll_s: float | None = None
    kit: bool = False
    setup: bool = False
    far_name: str | None = None
    far_agents: tuple[str, ...] = ()
    secret_file: str | None = None
    ca_file: str | None = None
    direction: str | None = None
    reads: str | None = None
    label: str | None = None
    logins: tuple[str, ...] = ()
    base_url: str | None = None
    token_file: str | None = None
    token_env: str | None = None
