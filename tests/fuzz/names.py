"""The targets by name, without importing what they try: that must be watched from its first line on."""

from __future__ import annotations

from typing import Final

NAMES: Final = ("lines", "texts", "tables", "link", "folders", "hooks", "keys", "tools")
