"""A message in an agent's hands: leased, renewed while it is worked on, then done or given back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from spool.inbox import LEASE_S
from spool.message import Message, load
from spool.sending import Posted
from spool.store.base import Incoming

RENEW_S: Final = 60.0


class Keeper(Protocol):
    """Whose messages these are: the Spool that leased them."""

    def _answer(
        self,
        row: Incoming,
        body: str | None,
        *,
        subject: str | None,
        keep_open: bool,
        given: Mapping[str, Any],
        allow_secrets: bool,
        attach: Sequence[str | Path] = (),
        lease: int | None = None,
    ) -> Posted: ...
    def _paths(self, row: Incoming) -> list[Path]: ...
    def _finish(self, row: Incoming, *, outcome: str, note: str | None, lease: int) -> None: ...
    def _give_back(self, row: Incoming) -> None: ...
    def _renew(self, row: Incoming, lease_s: float) -> bool: ...


class Delivery:
    """One leased message. Leaving its `with` block is `done`; an exception gives it back.

    The fields of the message are attributes: `id`, `sender`, `to`, `subject`, `body`, `context`,
    `priority`, `type`, `thread`, `re`, …; `message` is the whole.
    """

    def __init__(self, spool: Keeper, row: Incoming) -> None:
        self._spool = spool
        self.row = row
        self.message: Message = load(row.raw, filled=row.filled, digest=row.digest)
        self._open = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.message, name)

    def __repr__(self) -> str:
        return f"<Delivery {self.row.id} from {self.row.sender}: {self.message.subject!r}>"

    def done(self, *, outcome: str = "done", note: str | None = None) -> None:
        """Acknowledge it now.

        Raises:
            BadInput: it took too long and somebody else has it.
        """
        if self._open:
            self._open = False
            self._spool._finish(self.row, outcome=outcome, note=note, lease=self.row.lease)

    def reject(self, note: str) -> None:
        """Acknowledge it as `rejected`, with the reason."""
        self.done(outcome="rejected", note=note)

    @property
    def attachments(self) -> list[Path]:
        """Where its files lie, in the order in which it names them; it is up to you to open them.

        Raises:
            NotFound: one is not on this host.
        """
        return self._spool._paths(self.row)

    def reply(
        self,
        body: str | None = None,
        *,
        subject: str | None = None,
        keep_open: bool = False,
        attach: Sequence[str | Path] = (),
        **fields: Any,
    ) -> str:
        """Answer it in its thread; see `Spool.reply`. It is done when the answer is queued.

        Raises:
            BadInput: it took too long and somebody else has it; nothing was sent.
        """
        posted = self._spool._answer(
            self.row,
            body,
            subject=subject,
            keep_open=keep_open,
            given=fields,
            allow_secrets=False,
            attach=attach,
            lease=self.row.lease,
        )
        self._open = self._open and keep_open
        return posted.id

    def give_back(self) -> None:
        """Free it for the next reader; it counts as an attempt."""
        if self._open:
            self._open = False
            self._spool._give_back(self.row)

    def renew(self) -> bool:
        """Hold on to it for another five minutes; False where it was lost."""
        return self._open and self._spool._renew(self.row, LEASE_S)

    def __enter__(self) -> Delivery:
        self._halt = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lease:{self.row.id}", daemon=True)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._halt.set()
        if kind is None:
            self.done()
        else:
            self.give_back()

    def _keep(self) -> None:
        while not self._halt.wait(RENEW_S):
            if not self.renew():
                return
