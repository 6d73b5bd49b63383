"""Whether words can be told apart in texts: what `--tokenizer auto` goes by.

Looks at letters alone, so that few texts say as much as many. Learning the tokens is for `tokenizer`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

LOOKED_AT = 2_000
"""Texts, evenly spaced over those that are trained on, of which the first characters are looked at."""
CHARACTERS = 1_000

MOST_UNSPACED = 0.1
"""Share of letters of scripts without blanks above which words do not separate."""

LONGEST_MEAN = 20.0
"""Letters a word on the mean. Words of German or Finnish have 6 to 8, genes and hashes without blanks hundreds."""

# Scripts whose words stand without blanks (Unicode 16, chapters 16 and 18): Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
_WORD = re.compile(r"\w+")


class Writing(NamedTuple):
    """unspaced: share of the letters whose script has no blanks. letters_a_word: the mean between blanks and marks."""

    unspaced: float
    letters_a_word: float

    @property
    def separates(self) -> bool:
        """Whether blanks and marks divide the texts into words."""
        return self.unspaced <= MOST_UNSPACED and self.letters_a_word <= LONGEST_MEAN

    def __str__(self) -> str:
        return (
            f"{self.unspaced:.0%} of the letters are of scripts without blanks, "
            f"and a word has {self.letters_a_word:.1f} letters on the mean"
        )


def look_at(texts: Iterable[str]) -> Writing:
    """Measure a sample of texts."""
    letters = words = unspaced = 0
    for text in texts:
        found = _WORD.findall(text[:CHARACTERS])
        words += len(found)
        letters += sum(map(len, found))
        unspaced += len(_UNSPACED.findall("".join(found)))
    return Writing(unspaced / max(letters, 1), letters / max(words, 1))
