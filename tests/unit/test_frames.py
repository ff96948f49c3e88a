"""The frames of a link: what is too much for one."""

from __future__ import annotations

import pytest

from spool.transports import frames


@pytest.mark.parametrize(
    "line",
    [
        b'{"f":"messages","n":1,"items":[' + b",".join([b'{"t":1}'] * 2049) + b"]}",
        b'{"f":"query","n":1,"items":[' + b",".join([b'{"from":"a","id":"b"}'] * 2049) + b"]}",
        b'{"f":"messages","n":1' + b"0" * 30 + b',"items":[]}',
        b'{"f":"ping","n":1,"clock":1,"unread":1' + b"0" * 30 + b"}",
        b'{"f":"ping","n":-1,"clock":1}',
    ],
)
def test_more_than_the_protocol_allows_is_no_frame(line: bytes) -> None:
    """One transaction of all of it would lock the store, a number of that size cannot be kept."""
    with pytest.raises(frames.BadFrame):
        frames.decode(line)


def test_a_full_frame_is_one() -> None:
    """2,048 items are what may be on their way at once."""
    line = b'{"f":"messages","n":1,"items":[' + b",".join([b'{"t":1}'] * 2048) + b"]}"

    assert isinstance(frames.decode(line), frames.Messages)
