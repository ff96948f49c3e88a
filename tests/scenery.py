"""A laptop in the middle of its day, for whoever looks at it: three peers, twelve letters, some trouble."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spool import home as homes
from spool import log, outbox
from spool.api import Spool
from spool.message import Ack
from spool.outbox import apply_acks
from spool.presence import Presence
from spool.states import State
from spool.store.base import Told
from tests.desk import Turned, arrive, clocked

AGENT = "claude-local"
WHERE = """
[peers.cloud]
url = "ssh://deploy@cloud.example.org"
agents = ["claude-cloud*"]

[peers.stackcp]
url = "ssh://user@stackcp-shared-17.example.net:2222"
agents = ["site-builder", "translations-*"]

[peers.desktop]
url = "ssh://ann@desktop.local"
agents = ["claude-desk*"]
via = ["printer-bot"]
"""
CHANGED = (
    "stackcp-shared-17.example.net shows another host key,"
    " SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8, than the accepted"
    " SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDvL5vN1m3p0pYq2zE"
)
AWAY = "desktop.local:22: timed out after 15 s"
# Who writes, when (minutes ago), how urgent, when an answer is wanted (minutes from now), about what.
LETTERS = (
    (
        "claude-cloud-agent-1",
        2,
        "P0",
        None,
        "Production is down: every request to /api/v2/orders ends in 502",
    ),
    (
        "claude-cloud-agent-1",
        190,
        "P1",
        -30,
        "Which migration is first, 0041_orders or 0042_customers? Both wait",
    ),
    (
        "claude-cloud-agent-2",
        95,
        "P1",
        -5,
        "🚨 Deploy window closes: 請在今天下班之前確認新的部署計畫與回滾步驟",
    ),
    ("claude-cloud-agent-2", 40, "P2", 600, "レビューのお願い、認証モジュールの変更点について、ご意見を"),
    (
        "claude-cloud",
        33,
        "P2",
        None,
        "👩\u200d💻 Pairing notes, part 3 🎉 what we tried, what broke, and what is left",
    ),
    ("claude-cloud", 28, "P2", None, "Re: Re: Re: The flaky test of the scheduler is a race in its fixture"),
    (
        "claude-desk-7",
        1500,
        "P2",
        None,
        "Résumé: café façade naïve coöperation, Größenordnung, Ελληνικά, Кириллица",
    ),
    ("claude-desk-7", 26, "P2", None, "ok"),
    (
        "claude-cloud-agent-1",
        21,
        "P2",
        None,
        "Coverage fell from 94.1 % to 93.8 %; three branches are not reached",
    ),
    ("claude-cloud-agent-2", 12, "P3", None, "FYI ☕ new base image, ⚠️ 38 MB smaller; nothing to do for you"),
    (
        "claude-cloud-agent-2",
        8,
        "P3",
        None,
        "한국어 문서의 번역 초안을 첨부했습니다, 시간 나실 때 확인 부탁드립니다",
    ),
    ("claude-cloud", 1, "P3", None, "A subject without spaces: " + "/very/long/path" * 6),
)
SENT = (
    ("claude-cloud-agent-1", 50, "P1", "Please run the whole suite on the release branch and send the log"),
    ("claude-cloud-agent-2", 45, "P2", "部署前的最後檢查、請確認資料庫備份已完成"),
    ("claude-desk-7", 300, "P2", "When you are back: the printer queue holds eleven jobs of mine"),
    ("site-builder", 130, "P2", "New opening hours for the front page, in three languages"),
    ("claude-cloud", 4, "P3", "Thanks!"),
    ("claude-cloud-agent-2", 3, "P2", "How do I run the new base image here?"),
)
REFUSED = "refused there: claude-cloud is no agent of cloud"


class Scene(NamedTuple):
    """The home, and the ids of what was sent from it: read, rejected, queued, dead, dead, queued."""

    home: Path
    sent: list[str]


@contextlib.contextmanager
def laptop(folder: Path) -> Iterator[Scene]:
    """That laptop, whose consumer is this process."""
    now = Turned(time.time())
    home = homes.init(folder / "laptop", name="laptop", agents=[AGENT, "reviewer"]).home
    with (home / "spool.toml").open("a") as config:
        config.write(WHERE)
    consumer = Presence(home / "run", "consumer", now=now.at - 3 * 3600, version="0.1.0")
    try:
        with clocked(home, now, agent=AGENT) as spool:
            _peers(spool, consumer.token, now.at)
            _letters(spool, now.at)
            sent = _outgoing(spool, now)
            _log(spool)
        yield Scene(home, sent)
    finally:
        consumer.close()


def _peers(spool: Spool, holder: str, now: float) -> None:
    with spool.store.write(sync=False) as tx:
        tx.peers.update(
            "cloud",
            state="linked",
            holder=holder,
            holder_until=now + 3600,
            linked_at=now - 7000,
            last_contact=now - 2,
            far_host="cloud",
            far_version="0.1.0",
            far_agents=["claude-cloud", "claude-cloud-agent-1", "claude-cloud-agent-2"],
            far_unread=4,
            far_queued=0,
            clock_offset=0.3,
        )
        tx.peers.update(
            "stackcp", state="stopped", last_contact=now - 7300, error_kind="host_key_changed", error=CHANGED
        )
        tx.peers.update(
            "desktop",
            state="waiting",
            last_contact=now - 16_000,
            failures=9,
            retry_at=now + 240,
            error_kind="timed_out",
            error=AWAY,
        )
        told_of = [
            Told("claude-cloud", 1, 200.0, 1, now - 20),
            Told("claude-cloud-agent-1", 3, 3000.0, 0, now - 20),
        ]
        tx.presence.tell("cloud", told_of)
        tx.ledger.set_fact("swept_at", str(now))
        tx.ledger.quarantine(
            at=now - 600, peer="cloud", name=None, reason="from: 'root' lives elsewhere", raw=b"{}"
        )


def _letters(spool: Spool, now: float) -> None:
    for n, (sender, ago, priority, wanted, subject) in enumerate(LETTERS):
        peer = "desktop" if "desk" in sender else "cloud"
        at = now - 60 * ago
        more = {} if wanted is None else {"deadline": _rfc3339(now + 60 * wanted)}
        id = f"msg-019a7b3c-{n:04x}-7d21-8c55-0e5f{(n + 1) * 2_654_435_761 % 2**32:08x}"
        fields = {"from": sender, "to": AGENT, "id": id, "subject": subject, "priority": priority, **more}
        arrive(spool, peer, now=at, **fields)


def _rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _outgoing(spool: Spool, now: Turned) -> list[str]:
    start, ids = now.at, []
    for to, ago, priority, subject in SENT:
        now.at = start - 60 * ago
        deadline = _rfc3339(start - 60) if priority == "P1" else None
        ids.append(spool.send(to, subject=subject, priority=priority, deadline=deadline))
    now.at = start
    _told(spool, ids[0], "received", start - 2990)
    _told(spool, ids[0], "read", start - 2400)
    _told(spool, ids[1], "received", start - 2690)
    note = (
        "資料庫備份尚未完成、請明天早上再試一次 🙏 (the backup of yesterday is there, that of today is not)"
    )
    _told(spool, ids[1], "rejected", start - 1200, outcome="rejected", note=note)
    with spool.store.write(sync=False) as tx:
        for id, why in ((ids[3], f"host_key_changed: {CHANGED}"), (ids[4], REFUSED)):
            row = tx.outbox.exact(id, AGENT)
            assert row is not None
            outbox.bury(tx, row, "laptop", now=start - 300, reason=why, what="refused")
    return ids


def _told(spool: Spool, id: str, status: str, at: float, **more: str) -> None:
    """An ack of the cloud host, whose clock is a third of a second ahead."""
    row = spool.sent(id)
    ack = Ack(sender=row.recipient, to=AGENT, re=id, status=status, at=at + 0.3, host="cloud", **more)
    apply_acks(spool.store, "cloud", [ack], now=at + 0.1)


def _log(spool: Spool) -> None:
    log.configure(spool.home, role="consumer", host="laptop", version="0.1.0", stderr=False)
    log.info("consumer.started", home="/home/ann/.spool")
    log.info("link.up", peer="cloud", far_host="cloud", far_version="0.1.0")
    log.warning("link.failed", peer="desktop", error=AWAY, kind="timed_out", retry_in_s=240)
    log.error("peer.stopped", peer="stackcp", error=CHANGED, kind="host_key_changed")
    for row in spool.outbox():
        keys = outbox.out_keys(row, state=State.QUEUED, peer=row.peer)
        log.info("message.queued", **keys)
        if row.state is not State.QUEUED:
            log.info("message.sent", **{**keys, "state": "sent", "attempt": 1, "latency_ms": 3.8})
    for letter in spool.inbox(limit=3):
        log.info(
            "message.stored",
            id=letter.id,
            **{"from": letter.sender, "to": letter.recipient, "priority": f"P{letter.priority}"},
            peer=letter.peer,
        )
