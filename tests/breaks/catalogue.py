"""All breaks, by their names."""

from __future__ import annotations

from typing import Final

from tests.breaks.answers import ANSWERS
from tests.breaks.base import Break
from tests.breaks.elsewhere import ELSEWHERE
from tests.breaks.keeping import KEEPING
from tests.breaks.leases import LEASES

BREAKS: Final[dict[str, Break]] = {each.name: each for each in (*ANSWERS, *LEASES, *KEEPING, *ELSEWHERE)}
