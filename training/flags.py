"""The command line's flags before their values are read: a fault for each that no setting has."""

from collections.abc import Iterator, Mapping, Sequence

from training.errors import ConfigError, did_you_mean


def check_flags(argv: Sequence[str], settings: Mapping[str, bool]) -> None:
    """`ConfigError` with a line for each word of `argv` that is neither a flag nor its value.

    settings: for each setting, in its flag's spelling, whether it is a switch, which takes no value.
    """
    if faults := list(_faults(argv, settings)):
        raise ConfigError("\n".join(("the flags cannot be read:", *faults)))


def _faults(argv: Sequence[str], settings: Mapping[str, bool]) -> Iterator[str]:
    known = [*settings, *(f"no-{name}" for name, switch in settings.items() if switch)]
    words = iter(argv)
    waiting = next(words, None)
    while (word := waiting) is not None:
        waiting = next(words, None)
        if not word.startswith("--"):
            yield f"  got {word!r}, expected --SETTING VALUE; data are named by --data"
            continue
        name, given, _ = word[2:].partition("=")
        if name not in known:
            yield f"  --{name}: no such setting{did_you_mean(name, known, '--')}"
        takes_value = not given and (name not in known or settings.get(name) is False)
        if takes_value and waiting is not None and not waiting.startswith("--"):
            waiting = next(words, None)
        elif takes_value and name in known:
            yield f"  --{name}: got nothing, expected a value"
