"""Every error spool raises, one tree; each says what went wrong and what to do.

SpoolError
├── BadInput              what was asked cannot be done as asked
│   ├── BadMessage        a field is wrong (.field names it)
│   ├── TooLarge          over the size limit
│   ├── SecretFound       looks like a credential
│   ├── BadConfig         spool.toml is wrong
│   ├── NoRoute           nobody has this address
│   ├── IdTaken           this id exists with other content
│   ├── NoAgent           several agents here and none chosen, or none
│   ├── NotFound          no such message (exit 4)
│   ├── UnknownPeer       no such peer (exit 4)
│   └── AmbiguousId       a short id that fits several messages
├── StoreError            the database on this host
│   ├── NotInitialised    there is no home here yet
│   ├── StoreFull         no space, or below the low-water mark
│   ├── StoreCorrupt      SQLite says the file is damaged
│   ├── StoreNewer        written by a newer spool
│   ├── StoreOlder        needs a migration that others are in the way of
│   ├── StoreBusy         another process holds it for too long
│   └── UnsafeHome        permissions or file system cannot be trusted
├── LinkError             the whole exchange with a peer failed
│   ├── CannotResolve     no such host name
│   ├── Unreachable       refused, no route
│   ├── TimedOut          no answer in time
│   ├── HostKeyChanged    the host shows another key: stops the peer
│   ├── HostKeyUnknown    the host's key was never accepted: stops the peer
│   ├── CertificateRefused the host shows a TLS certificate that is not to be believed
│   ├── AuthRefused       the login was refused: stops the peer
│   ├── NoSpoolThere      logged in, but no spool answered
│   ├── CannotInstall     spool cannot be put on that host
│   ├── NoFilesThere      logged in, and neither sftp nor a shell with scp to be had
│   ├── FolderMissing     a folder of a files peer is not there, or may not be entered
│   ├── NotAuthorised     a spool answered and does not know us: stops the peer
│   ├── PeerMisconfigured what the config says of the peer cannot be used: stops the peer
│   ├── FarDiskFull       the far disk is full
│   ├── VersionSkew       the two versions cannot talk
│   ├── NoCredential      the token or secret for a peer cannot be read here
│   ├── NoRepository      no such repository, or the token may not see it
│   ├── RateLimited       a service wants no more requests until a time it names
│   ├── LinkLost          a link that was up broke
│   └── Superseded        a newer link to the same peer took over
├── FileTrouble           one file could not be read or written
└── WaitTimedOut          waited as long as was asked (exit 3)
"""

from __future__ import annotations

from typing import ClassVar


class SpoolError(Exception):
    """The root. `kind` is stable and documented; `hint` says what to do next.

    Args:
        message: one line, naming the thing that is wrong.
        hint: one line, the next step.
        id: the message it is about, where there is one.
    """

    kind: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "", id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint
        self.id = id

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class BadInput(SpoolError):
    """What was asked cannot be done as asked."""

    kind = "bad_input"


class BadMessage(BadInput):
    """A field of a message is wrong; `field` names it."""

    kind = "bad_message"

    def __init__(self, field: str, problem: str, *, hint: str = "", id: str | None = None) -> None:
        super().__init__(f"{field}: {problem}", hint=hint, id=id)
        self.field = field


class TooLarge(BadInput):
    """The encoded message is over the limit."""

    kind = "too_large"
    default_hint = "put the bulk in a file and name the file in the message"


class SecretFound(BadInput):
    """The message holds what looks like a credential."""

    kind = "secret_found"


class BadConfig(BadInput):
    """spool.toml cannot be used."""

    kind = "bad_config"


class NoRoute(BadInput):
    """Nobody known here has this address."""

    kind = "no_route"


class IdTaken(BadInput):
    """This id exists with other content."""

    kind = "id_taken"
    default_hint = "use another --id, or leave it out"


class NoAgent(BadInput):
    """No agent was chosen and there is not exactly one to choose."""

    kind = "no_agent"
    exit_code = 2


class NotFound(BadInput):
    """No such message on this host."""

    kind = "no_such_message"
    exit_code = 4


class UnknownPeer(BadInput):
    """No such peer in the config."""

    kind = "no_such_peer"
    exit_code = 4
    default_hint = "`spool peer list` shows the peers of this host"


class AmbiguousId(BadInput):
    """A shortened id that fits several messages."""

    kind = "ambiguous_id"
    exit_code = 2


class StoreError(SpoolError):
    """The database of this host cannot be used."""

    kind = "store_failed"


class NotInitialised(StoreError):
    """There is no spool home here."""

    kind = "not_initialised"
    default_hint = "run `spool init` first, or set SPOOL_HOME"


class StoreFull(StoreError):
    """The disk is full or below the low-water mark."""

    kind = "store_full"
    default_hint = "free some space; nothing that was stored is lost"


class StoreCorrupt(StoreError):
    """SQLite found the file damaged; it was left as it is."""

    kind = "store_corrupt"
    default_hint = "stop spool, copy the home away, then restore a backup; nothing was changed"


class StoreNewer(StoreError):
    """The file was written by a newer spool."""

    kind = "store_newer"
    default_hint = "upgrade spool on this host"


class StoreOlder(StoreError):
    """The file needs a migration, and another process has it open."""

    kind = "store_older"
    default_hint = "run `spool down` first, then try again"


class StoreBusy(StoreError):
    """Another process held the write lock for too long."""

    kind = "store_busy"
    default_hint = "try again; find who holds spool.db if it stays so"


class UnsafeHome(StoreError):
    """The home's permissions or file system cannot be trusted with mail."""

    kind = "unsafe_home"


class LinkError(SpoolError):
    """The whole exchange with a peer failed; `stops` says it must not be retried blindly."""

    kind = "link_failed"
    stops: ClassVar[bool] = False
    after_s: float = 0.0
    """No new try before so many seconds have passed, where the other side says so."""


class CannotResolve(LinkError):
    """No such host name."""

    kind = "cannot_resolve"
    default_hint = "check the host name in the peer's url"


class Unreachable(LinkError):
    """The connection was refused or there is no route."""

    kind = "unreachable"


class TimedOut(LinkError):
    """No answer within the time limit."""

    kind = "timed_out"


class HostKeyChanged(LinkError):
    """The host shows another key than the one accepted before."""

    kind = "host_key_changed"
    stops = True


class HostKeyUnknown(LinkError):
    """The host's key was never accepted."""

    kind = "host_key_unknown"
    stops = True


class CertificateRefused(LinkError):
    """The host's TLS certificate is of no authority that is believed here, of another name, or too old.

    It does not stop the peer: nothing was said to that host, and one that renews its certificate needs
    nobody here.
    """

    kind = "certificate_refused"


class AuthRefused(LinkError):
    """The far side refused the login."""

    kind = "auth_refused"
    stops = True


class NoSpoolThere(LinkError):
    """The far command ended, or spoke, without a hello."""

    kind = "no_spool_there"


class CannotInstall(LinkError):
    """spool cannot be put on that host; nothing of it was left there."""

    kind = "cannot_install"


class NoFilesThere(LinkError):
    """Logged in, but there is no sftp, nor a shell with scp."""

    kind = "no_files_there"


class FolderMissing(LinkError):
    """A folder of a files peer is not there, or may not be entered."""

    kind = "folder_missing"


class NotAuthorised(LinkError):
    """A spool answered and does not accept us under this name."""

    kind = "not_authorised"
    stops = True


class PeerMisconfigured(LinkError):
    """What the config says of the peer cannot be used."""

    kind = "peer_misconfigured"
    default_hint = "correct the peer in spool.toml"
    stops = True


class FarDiskFull(LinkError):
    """The far spool has no space."""

    kind = "far_disk_full"


class VersionSkew(LinkError):
    """The two versions have no protocol in common."""

    kind = "version_skew"
    default_hint = "upgrade the older spool"


class NoCredential(LinkError):
    """The token or the secret for a peer cannot be read on this host."""

    kind = "no_credential"


class NoRepository(LinkError):
    """There is no such repository, or the token may not see it."""

    kind = "no_repository"


class RateLimited(LinkError):
    """A service wants no more requests for `after_s` seconds."""

    kind = "rate_limited"
    default_hint = "nothing is lost; it goes on by itself"

    def __init__(self, message: str, *, after_s: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after_s = after_s


class LinkLost(LinkError):
    """A link that was up broke."""

    kind = "link_lost"


class Superseded(LinkError):
    """A newer link to the same peer took over; this one ends quietly."""

    kind = "superseded"


class FileTrouble(SpoolError):
    """One file could not be read or written; others can."""

    kind = "file_failed"


class WaitTimedOut(SpoolError):
    """Waited as long as was asked."""

    kind = "timed_out_waiting"
    exit_code = 3


def kinds() -> dict[str, type[SpoolError]]:
    """Every error kind that can be printed, with its class; the documentation lists the same."""
    found: dict[str, type[SpoolError]] = {}
    todo: list[type[SpoolError]] = [SpoolError]
    while todo:
        cls = todo.pop()
        found[cls.kind] = cls
        todo.extend(cls.__subclasses__())
    return found
