"""An environment made and switched to, or nothing left of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from spool.far.there.fill import Say, fill
from spool.far.there.place import MARK, Place, forget_old, locked, make_folders, switch, tidy, undo


def install(request: dict[str, Any], say: Say) -> dict[str, Any]:
    """Make an environment, fill it, try it, and only then switch to it; or leave nothing of it."""
    place = Place(Path.home())
    made: list[Path] = []
    before = {link: link.readlink() if link.is_symlink() else None for link in (place.current, place.link)}
    name = f"{request['spool']}-{request['token'][:8]}"
    try:
        for folder in (place.versions, place.link.parent):
            make_folders(folder, made)
        with locked(place):
            made[:0] = tidy(place)
            mark = place.versions / (name + MARK)
            mark.write_text(json.dumps([str(path) for path in made]))
            fill(place.versions / name, request, say)
            switch(place, name)
            mark.unlink()
            old = before[place.current]
            forget_old(place, {name, old.name if old else name})
    except BaseException:
        ignore_signals()
        undo(place, name, before, made)
        raise
    return {"path": str(place.link), "environment": str(place.versions / name)}


def ignore_signals() -> None:
    """From here on nothing interrupts."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
