"""The long run: `python -m tests.fuzz TARGET --minutes 30`, guided by coverage.

Wants atheris (`pip install atheris`, Linux). What a run finds is written to `--keep`, faults as `fault-…`;
`python -m tests.fuzz TARGET --try FILE` tries one input again.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.tally import Tally

SHM: Final = Path("/dev/shm")
# Written in Python, so that their branches guide as well.
INSTRUMENTED: Final = ["spool", "rfc8785", "tomllib", "shlex"]
# Each so manieth change is libFuzzer's own, by the byte, and may make so much more of it.
_BY_BYTE: Final = 8
_LONGER: Final = 64


def main() -> int:
    """Run one target until the time is up; the exit status is 1 where a promise was broken."""
    asked = _asked()
    with _scratch() as scratch:
        if asked.again is not None:
            return _once(asked.target, asked.again.read_bytes(), scratch)
        return _search(asked, scratch)


def _once(name: str, raw: bytes, scratch: Path) -> int:
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.trial import attempt

    with TARGETS[name](scratch) as target:
        tried = attempt(target, raw, weigh=True)
    print(f"{tried.word}, {tried.seconds * 1000:.1f} ms, {tried.peak:,} bytes\n{tried.fault}")
    return 1 if tried.fault else 0


def _search(asked: argparse.Namespace, scratch: Path) -> int:
    try:
        import atheris
    except ImportError:
        print("no atheris here: pip install atheris (Linux); the tests do without it", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz import seeds
    from tests.fuzz.mutate import mutated
    from tests.fuzz.tokens import TOKENS

    keep = asked.keep or Path(tempfile.mkdtemp(prefix="spool-found-"))
    for folder in (keep, scratch / "seeds"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, raw in seeds.of(asked.target):
        (scratch / "seeds" / name).write_bytes(raw)
    words = scratch / "words"
    words.write_text(seeds.dictionary(asked.target))
    seed = asked.seed if asked.seed is not None else secrets.randbits(31)
    with TARGETS[asked.target](scratch) as target:
        tally = Tally(asked.target, target, keep, minutes=asked.minutes, seed=seed, done=scratch)
        tokens = TOKENS[asked.target]

        def change(raw: bytes, most_bytes: int, seed: int) -> bytes:
            if seed % _BY_BYTE:
                return mutated(raw, most_bytes, seed, tokens)
            changed: bytes = atheris.Mutate(raw, len(raw) + _LONGER)
            return changed[:most_bytes]

        arguments = [*_flags(target.most_bytes, seed, words, keep), str(keep), str(scratch / "seeds")]
        atheris.Setup([sys.argv[0], *arguments], tally.one, custom_mutator=change)
        atheris.Fuzz()
    return 1


def _flags(most_bytes: int, seed: int, words: Path, keep: Path) -> list[str]:
    # Time is looked after by the tally; a target may need the one alarm that a process has.
    return [
        f"-max_len={most_bytes}",
        f"-seed={seed or 1}",
        f"-dict={words}",
        "-timeout=600",
        "-reduce_inputs=0",
        "-mutate_depth=2",
        "-rss_limit_mb=2048",
        "-report_slow_units=600",
        f"-artifact_prefix={keep}/",
    ]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder in memory where there is one: a target may make a home for each input."""
    folder = Path(tempfile.mkdtemp(prefix="spool-fuzz-", dir=SHM if SHM.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _asked() -> argparse.Namespace:
    from tests.fuzz.names import NAMES

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="the same choices again")
    parser.add_argument("--keep", type=Path, help="where new inputs and faults go (a new folder)")
    parser.add_argument("--try", dest="again", type=Path, metavar="FILE", help="only this input")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
