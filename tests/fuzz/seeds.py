"""The inputs each search begins with: small files of this folder, and large ones that are made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fuzz import bombs
from tests.fuzz.tokens import TOKENS

FOLDER: Final = Path(__file__).parent / "corpus"


def of(target: str) -> Iterator[tuple[str, bytes]]:
    """Every input of a target with its name."""
    for path in sorted((FOLDER / target).iterdir()):
        yield path.name, path.read_bytes()
    yield from bombs.BOMBS.get(target, {}).items()


def dictionary(target: str) -> str:
    """The words that a search puts into its inputs, as libFuzzer reads them."""
    return "".join(f'"{_escaped(word)}"\n' for word in TOKENS[target])


def _escaped(word: bytes) -> str:
    return "".join(
        chr(each) if 32 <= each < 127 and each not in b'"\\' else f"\\x{each:02x}" for each in word
    )
