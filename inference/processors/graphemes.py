"""Where the characters of a text begin as a reader sees them, which may be several code points each.

The rules are those of Unicode's grapheme clusters (UAX #29) as far as the standard library's tables go: marks, Hangul,
emoji that a joiner ties together, and flags. Clusters of Indic conjuncts are those of Unicode before 15.1.
"""

import unicodedata

_JOINER = "\u200d"
_JOINING = frozenset((_JOINER, "\u200c", "\u0e33", "\u0eb3"))
"""Besides marks: the joiners, and the vowel am of Thai and Lao."""

_REGIONAL = range(0x1F1E6, 0x1F200)
"""Two of them are a flag."""

_SKIN = range(0x1F3FB, 0x1F400)
_LEADS, _VOWELS, _TAILS = (
    (range(0x1100, 0x1160), range(0xA960, 0xA97D)),
    (range(0x1160, 0x11A8), range(0xD7B0, 0xD7C7)),
    (range(0x11A8, 0x1200), range(0xD7CB, 0xD7FC)),
)
_SYLLABLES, _SYLLABLES_OF_A_PAIR = range(0xAC00, 0xD7A4), 28
"""Composed Hangul; each 28th has no tail yet, and so may take one."""


def cluster_starts(text: str) -> list[int]:
    """The code point at which each cluster of a text begins, in order."""
    starts: list[int] = []
    flags = 0  # regional indicators just before
    for place, letter in enumerate(text):
        if not starts or not _joins(text[starts[-1]], text[place - 1], letter, flags):
            starts.append(place)
        flags = flags + 1 if ord(letter) in _REGIONAL else 0
    return starts


def _joins(first: str, before: str, after: str, flags: int) -> bool:
    """Whether `after` is of the cluster that begins with `first` and so far ends with `before`.

    flags: regional indicators up to `before`.
    """
    if after.isascii():
        return before + after == "\r\n"
    if after in _JOINING or ord(after) in _SKIN or unicodedata.category(after) in ("Mn", "Me", "Mc"):
        return before not in "\r\n"
    if ord(after) in _REGIONAL:
        return flags % 2 == 1
    if before == _JOINER:
        return unicodedata.category(first) == unicodedata.category(after) == "So"
    return _hangul_joins(ord(before), ord(after))


def _hangul_joins(before: int, after: int) -> bool:
    """Whether the second of two code points of Hangul completes the syllable of the first."""
    composed = before in _SYLLABLES
    open_syllable = composed and (before - _SYLLABLES.start) % _SYLLABLES_OF_A_PAIR == 0
    if _in(before, _LEADS):
        return _in(after, _LEADS) or _in(after, _VOWELS) or after in _SYLLABLES
    if _in(before, _VOWELS) or open_syllable:
        return _in(after, _VOWELS) or _in(after, _TAILS)
    return (_in(before, _TAILS) or composed) and _in(after, _TAILS)


def _in(point: int, blocks: tuple[range, range]) -> bool:
    return point in blocks[0] or point in blocks[1]
