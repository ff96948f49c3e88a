"""A file beside a message, with small mail going on meanwhile."""

from __future__ import annotations

from typing import Final

from bench import yardsticks
from bench.frame import Figure, Found, Row, Yardstick
from bench.ground import WITHIN_S, Ground
from tests.attaching import MB, journey, noise, pair

MEGABYTES: Final = 256


def measure(ground: Ground) -> Found:
    """Over a link through the tests' proxy, which cuts nothing here; `bench.attachment` does that."""
    megabytes = ground.scaled(MEGABYTES)
    folder = ground.place("attachments")
    file = folder / "noise"
    noise(file, megabytes * MB)
    with pair(folder) as two:
        there = two.near.home / "there"
        command = f"head -c {megabytes * MB} > {there} && sync {there}"
        bare_s = yardsticks.through(ground.sshd, two.near, command, file.read_bytes())
        there.unlink()
        found = journey(two, file, cuts=0, within_s=WITHIN_S)
    peaks = {"consumer": found.dialler_peak_mb, "far end": found.server_peak_mb}
    return Found(
        figures=[
            Figure(
                what=f"a file of {megabytes} MB, hashed and synced at both ends",
                unit="s",
                median=found.seconds,
                yardstick=Yardstick(what="the same through a bare channel, synced", median=bare_s),
                peak_mb=peaks,
            ),
            Figure(
                what="mail beside it, one each 20 ms",
                unit="ms",
                median=found.mail_p50_ms,
                tail=found.mail_p99_ms,
                yardstick=Yardstick(what="the same before the file", median=found.idle_p50_ms),
            ),
        ]
    )


ROWS: Final = (Row("attachments", "A file beside a message", measure),)
