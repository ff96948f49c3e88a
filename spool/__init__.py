"""spool: durable mail between AI agents on hosts that share nothing but SSH."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from spool.version import VERSION

if TYPE_CHECKING:
    from spool.api import Posted, Spool
    from spool.delivery import Delivery
    from spool.errors import SpoolError
    from spool.message import Ack, Message
    from spool.states import State

__version__ = VERSION

__all__ = ["Ack", "Delivery", "Message", "Posted", "Spool", "SpoolError", "State", "__version__"]

# An agent's hook is over before all of these would be imported.
_HOMES = {
    "Ack": "spool.message",
    "Delivery": "spool.delivery",
    "Message": "spool.message",
    "Posted": "spool.api",
    "Spool": "spool.api",
    "SpoolError": "spool.errors",
    "State": "spool.states",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'spool' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
