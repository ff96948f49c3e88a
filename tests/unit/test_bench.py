"""The benchmark's own arithmetic: budgets, tables, the page, the picture. Nothing is measured here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import fill, pages, picture, spread, tables, tunnel
from bench.frame import Figure, Found, Limit, Point, Yardstick
from bench.report import Report
from bench.rows import ROWS
from spool import Spool
from spool import home as homes
from spool.config_edit import set_peer
from spool.states import State
from tests import databases


def figure(median: float, *limits: Limit, tail: float | None = None) -> Figure:
    """One line, held against a yardstick of 2 ms."""
    yardstick = Yardstick(what="a commit", median=2.0)
    return Figure(what="it", unit="ms", median=median, tail=tail, count=9, yardstick=yardstick, limits=limits)


def report(*figures: Figure, **more: str) -> Report:
    """A run that measured one row."""
    machine = {"cores": "2", "load before": "0.10"}
    return Report(
        at=0.0, quick=False, machine=machine, rows={"send": Found(figures=list(figures))}, failed=more
    )


def test_a_budget_is_kept_only_where_all_of_it_is() -> None:
    """A good median must not hide a bad tail."""
    limits = (Limit("median", 4.0), Limit("tail", 15.0), Limit("ratio", 1.5))

    assert figure(3.0, *limits, tail=15.0).met is True
    assert figure(3.0, *limits, tail=15.1).met is False
    assert figure(3.1, *limits, tail=15.0).met is False
    assert figure(3.0).met is None


def test_a_budget_of_a_tail_that_was_not_measured_is_missed() -> None:
    """What nobody looked at is not fast."""
    assert figure(1.0, Limit("tail", 15.0)).met is False


def test_a_rate_is_kept_from_below() -> None:
    """More a second is better."""
    assert figure(15_000, Limit("median", 15_000, least=True)).met is True
    assert figure(14_999, Limit("median", 15_000, least=True)).met is False


def test_the_tail_is_what_one_in_a_hundred_passes() -> None:
    """The worst of a hundred is it, and of a thousand the tenth worst."""
    assert spread.of([0.001] * 99 + [0.5]) == (1.0, 500.0)
    assert spread.of([0.001 * n for n in range(1000)]).tail == pytest.approx(990)
    assert spread.of_rates([3.0, 1.0, 2.0]) == (2.0, 1.0)


def test_the_table_says_what_was_missed_and_what_was_before() -> None:
    """Who reads the table sees both without arithmetic."""
    said = tables.plain(report(figure(3.5, Limit("ratio", 1.5))), before=report(figure(9.0)))

    (line,) = [line for line in said.splitlines() if line.startswith("it ")]
    assert " ".join(line.split()) == "it 3.50 ms 2.00 ms: a commit 1.75 ≤ 1.5 x MISSED 9.00 ms"


def test_a_row_that_failed_is_told() -> None:
    """A table that lacks a row without a word would be taken for whole."""
    assert "cli: FAILED: it broke" in tables.plain(report(cli="it broke"))


def test_every_row_has_a_name_of_its_own() -> None:
    """They are chosen by it."""
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))


def test_the_page_takes_a_run_in_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks stay, and the text around them."""
    monkeypatch.setattr(pages, "PAGE", tmp_path / "performance.md")
    pages.PAGE.write_text((pages.DOCS / "performance.md").read_text("utf-8"), "utf-8")

    pages.write(report(figure(8.0)))
    once = pages.PAGE.read_text("utf-8")
    pages.write(report(figure(7.0)))
    pages.write(report(figure(8.0)))

    assert once == pages.PAGE.read_text("utf-8")
    assert "| it | 8.00 ms |" in once
    assert once.startswith("# Performance")


def test_the_picture_is_whole_and_keeps_within_its_frame() -> None:
    """Whatever was measured: a point outside would be a line that leaves the picture."""
    points = [Point(batch, trip, 0.4 * batch + trip, 90.0 * batch) for batch in (1, 100) for trip in (0, 200)]

    drawn = ET.fromstring(picture.drawn(points))

    circles = [each for each in drawn.iter() if each.tag.endswith("circle")]
    assert len(circles) == 2 * len(points)
    for circle in circles:
        assert 0 < float(circle.attrib["cx"]) < picture.WIDTH
        assert 40 < float(circle.attrib["cy"]) < picture.HEIGHT - 60


def test_what_is_not_installed_says_how_to_install_it() -> None:
    """Such a row tells that, and nothing else fails."""
    assert tunnel.missing("sh", "sh") == ""
    assert "apt-get install nothing-such" in tunnel.missing("nothing-such", "sh", "nothing-such-here")


def test_a_home_that_has_grown_is_one_that_spool_reads(tmp_path: Path) -> None:
    """Copies of rows that spool made are rows like any other: found, traced, counted, and nothing twice."""
    home = tmp_path / "here"
    homes.init(home, name="here", agents=["al"])
    set_peer(home, "far", {"url": "exec:false", "agents": ["bo"]})
    set_peer(home, fill.GONE, {"agents": [f"{fill.GONE}-bo"]})
    fill.prepare(home, agent="al", peer="far")

    fill.grow(home, history=6, backlog=2)
    fill.grow(home, history=4, backlog=3)

    assert databases.one(home, "PRAGMA integrity_check") == "ok"
    assert databases.one(home, "SELECT count(*) FROM seen") == 1 + 5
    with Spool(home) as spool:
        sent = spool.send("bo", subject="after")
        assert spool.sent(sent).state is State.QUEUED
        with spool.store.read() as tx:
            assert tx.sweepings.archived() == 2 + 10
            assert tx.outbox.waiting() == {"far": 1, fill.GONE: 1 + 5}
        (old,) = databases.rows(home, "SELECT id FROM outbox_archive ORDER BY seq DESC LIMIT 1")
        assert spool.sent(old[0]).state is State.DONE
