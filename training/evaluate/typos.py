"""Typing errors: one in each of a share of the words, as hands make them; drawn from a seed.

Damerau 1964 ("A technique for computer detection and correction of spelling errors", doi:10.1145/363958.363994)
found four in five misspelled words one such error away.
"""

import random
import re

KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Of an American keyboard, from the top."""

WORD = re.compile(r"\w{2,}")


def with_typos(text: str, share: float, seed: int) -> str:
    """The text with an error in each word with probability `share`; at least two letters make a word."""
    draw = random.Random(seed)

    def typed(found: re.Match[str]) -> str:
        word = found[0]
        return mistype(word, draw) if draw.random() < share else word

    return WORD.sub(typed, text)


def mistype(word: str, draw: random.Random) -> str:
    """Two letters swapped, one left out, one doubled, or a neighbouring key instead of one."""
    at = draw.randrange(len(word))
    before, letter, after = word[:at], word[at], word[at + 1 :]
    kind = draw.choice(("swap", "drop", "double", "neighbour"))
    if kind == "swap" and len(set(word[at : at + 2])) == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return before + after
    if kind == "neighbour" and (keys := neighbours(letter)):
        return before + draw.choice(keys) + after
    return before + 2 * letter + after


def neighbours(letter: str) -> str:
    """The keys that touch it, in its own case; none where it is no letter of the keyboard."""
    found = ""
    for row, keys in enumerate(KEY_ROWS):
        if (at := keys.find(letter.lower())) < 0:
            continue
        found = keys[max(0, at - 1) : at] + keys[at + 1 : at + 2]
        for other, shift in (
            (row - 1, 0),
            (row + 1, -1),
        ):  # each row stands half a key right of the one above
            if 0 <= other < len(KEY_ROWS):
                found += KEY_ROWS[other][max(0, at + shift) : at + shift + 2]
    return found.upper() if letter.isupper() else found
