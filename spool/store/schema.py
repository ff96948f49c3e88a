"""Which schema this spool knows: the number of the newest script."""

from __future__ import annotations

import os
from typing import Final

FOLDER: Final = __file__.rpartition("/")[0] + "/sql"
SCHEMA: Final = max(int(name[:4]) for name in os.listdir(FOLDER) if name.endswith(".sql"))
