"""Tells at once when a file came into a local folder; only for speed, since a poll finds it as well."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from spool.transports.local_files import expanded

AGAIN_S: Final = 5.0  # how often a folder that is not there is looked for


class Watch:
    """Calls `came` when a file in one of the folders was closed after writing, or got its name there.

    The folders may be missing, go, and come back. Where the system has no inotify, or no more of
    it for us, nothing is ever called. `came` runs on the watch's own thread; it must be quick and
    must not raise.
    """

    def __init__(self, folders: Iterable[str], came: Callable[[], None], *, again_s: float = AGAIN_S) -> None:
        self._missing = {expanded(folder) for folder in folders}
        self._watched: dict[int, str] = {}
        self._came = came
        self._again_ms = round(again_s * 1000)
        self._inotify = _new_inotify()
        self._bell, self._knob = os.pipe()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="folder watch", daemon=True)
        if self._inotify is not None:
            self._look_for_folders()
            self._thread.start()

    def close(self) -> None:
        """End it, leaving no thread behind; it may be called twice, not by `came`. Never raises."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            os.write(self._knob, b"x")
            if self._inotify is not None:
                self._thread.join()
                self._inotify.close()
            os.close(self._bell)
            os.close(self._knob)

    def _run(self) -> None:
        waiter = select.poll()
        waiter.register(self._bell, select.POLLIN)
        waiter.register(self._inotify.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiter.poll(self._again_ms if self._missing else None)}
            if self._bell in ready:
                return
            news = self._take_events()
            # What came into a folder before it was watched made no event.
            if self._look_for_folders() or news:
                self._came()

    def _take_events(self) -> bool:
        """Whether files came; folders that went are missing from then on."""
        from inotify_simple import flags

        gone = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED
        news = False
        for event in self._inotify.read(timeout=0):
            if not event.mask & gone:
                news = True
            elif (folder := self._watched.pop(event.wd, None)) is not None:
                self._missing.add(folder)
                self._forget(event.wd)
        return news

    def _forget(self, number: int) -> None:
        """End a watch; one whose folder was removed has ended by itself."""
        try:
            self._inotify.rm_watch(number)
        except OSError:
            return

    def _look_for_folders(self) -> bool:
        """Watch what is missing and there by now; whether there was any."""
        found = {folder: number for folder in self._missing if (number := self._add(folder)) is not None}
        self._watched.update((number, folder) for folder, number in found.items())
        self._missing -= found.keys()
        return bool(found)

    def _add(self, folder: str) -> int | None:
        from inotify_simple import flags

        # A file published by a second name (link and unlink) is only ever created, never closed.
        wanted = flags.CLOSE_WRITE | flags.MOVED_TO | flags.CREATE
        try:
            number: int = self._inotify.add_watch(
                folder, wanted | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.DONT_FOLLOW
            )
        except OSError:
            # Not there, not ours to read, or the limit of watches is reached: looked for again.
            return None
        return number


def _new_inotify() -> Any:
    """What the kernel offers, None where it offers nothing."""
    if sys.platform != "linux":
        return None
    from inotify_simple import INotify

    try:
        return INotify(nonblocking=True)
    except OSError:
        return None
