"""Text to fill an archive with: words as unevenly common as those of a language, the same each time."""

from __future__ import annotations

import itertools
import random

WORDS = 30_000
_LETTERS = ("abcdefghijklmnopqrstuvwxyz", "aeioulnrst")


class Writer:
    """Writes messages. The n-th of `words` is about n times as rare as the first."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        made = (self._word(2 + min(n // 20, 3) + n % 5) for n in itertools.count())
        self.words = list(itertools.islice(dict.fromkeys(itertools.islice(made, 2 * WORDS)), WORDS))
        self._weights = list(itertools.accumulate(1 / (n + 1) for n in range(len(self.words))))

    def letter(self) -> dict[str, object]:
        """A subject, a body of 100 words, and a little context."""
        words = self.random.choices(self.words, cum_weights=self._weights, k=106)
        body = "\n".join(" ".join(words[at : at + 10]) for at in range(0, 100, 10))
        return {"subject": " ".join(words[100:]), "body": body, "context": {"part": words[3], "n": 7}}

    def _word(self, length: int) -> str:
        return "".join(self.random.choice(_LETTERS[at % 2]) for at in range(length))
