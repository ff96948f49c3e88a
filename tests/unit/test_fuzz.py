"""Hostile input at every door: each target with its whole corpus, and with some hundreds of changes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spool.files_gate import FilesGate
from spool.gate import Gate
from spool.transports.base import Accepted
from tests.fuzz import seeds
from tests.fuzz.base import Target
from tests.fuzz.mutate import mutated
from tests.fuzz.names import NAMES
from tests.fuzz.targets import TARGETS
from tests.fuzz.tokens import TOKENS
from tests.fuzz.trial import attempt

# How many changes are tried: each of the last ones takes a home and a store of its own.
CHANGES: Final = {
    "lines": 300,
    "texts": 300,
    "tables": 200,
    "keys": 150,
    "link": 40,
    "folders": 60,
    "hooks": 30,
    "tools": 20,
}
# Texts that are tried cut off at each byte.
CUT: Final = {
    "lines": ("messages", "files"),
    "texts": ("whole", "vector-minimal.json"),
    "tables": ("small",),
}

opened: dict[str, Target] = {}


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each target in turn, open: `opened` has it under the name."""
    name: str = request.param
    with TARGETS[name](tmp_path_factory.mktemp(name)) as made:
        opened[name] = made
        yield name
        del opened[name]


def keeps_its_promises(name: str, raw: bytes, *, weigh: bool = False) -> None:
    """Only known errors, in time and within its memory; what was refused is kept or told."""
    tried = attempt(opened[name], raw, weigh=weigh)
    assert not tried.fault, f"{name}, {raw[:200]!r}: {tried.fault}"


def test_everything_in_the_corpus_is_taken_or_refused(target: str) -> None:
    """What was once a fault, and what readers of such formats have fallen over, stays tried."""
    found = list(seeds.of(target))
    assert len(found) >= 20
    for name, raw in found:
        assert len(raw) <= opened[target].most_bytes, name
        keeps_its_promises(target, raw, weigh=name.startswith("bomb-"))


def test_changes_of_the_corpus_are_taken_or_refused(target: str) -> None:
    """Values exchanged, members doubled, brackets lost; the same each time, so that no run is a lottery."""
    good = [raw for name, raw in seeds.of(target) if not name.startswith("bomb-")]
    words = TOKENS[target]

    @settings(
        max_examples=CHANGES[target],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(good), st.integers(0, 2**31))
    def change(raw: bytes, seed: int) -> None:
        keeps_its_promises(target, mutated(raw, opened[target].most_bytes, seed, words))

    change()


@pytest.mark.parametrize("target", CUT, indirect=True)
def test_what_is_cut_off_at_any_byte_is_taken_or_refused(target: str) -> None:
    """A far side may end, and a writer be killed, in the middle of anything."""
    inputs = dict(seeds.of(target))
    for raw in (inputs[name] for name in CUT[target]):
        for size in range(len(raw)):
            keeps_its_promises(target, raw[:size])


def test_a_file_that_goes_in_silence_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the target would prove nothing."""
    monkeypatch.setattr(FilesGate, "take", lambda gate, found: [True] * len(found))
    assert "is gone, and no mail" in _fault(tmp_path, "folders", "good")


def test_an_answer_that_is_not_true_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is said to be accepted must be on the disk."""
    lie: Callable[..., object] = lambda gate, came: [Accepted(1.0, True, "here")] * len(came)  # noqa: E731
    monkeypatch.setattr(Gate, "accept", lie)
    assert "accepted, and nowhere" in _fault(tmp_path, "link", "mail")


def test_memory_beyond_the_limit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However harmless the outcome."""
    with TARGETS["keys"](tmp_path) as made:
        monkeypatch.setattr(made, "memory", lambda size: 10)
        assert "memory" in attempt(made, b"", weigh=True).fault


def _fault(folder: Path, target: str, name: str) -> str:
    with TARGETS[target](folder) as made:
        return attempt(made, dict(seeds.of(target))[name]).fault
