"""Numbers in messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `2 rows`; `plural` where it is not the noun with an s, as in `2 axes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
