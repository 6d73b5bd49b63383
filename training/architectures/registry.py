"""The architectures by name: those that `--arch` accepts and `--help` lists.

A new one is a file with its network, and a builder and a record in the table of its task (`vision`, `text`,
`recommenders`); or a call of `register` from elsewhere. No module of PyTorch is imported here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from training.architectures import recommenders, text, vision
from training.architectures.record import Architecture
from training.errors import ConfigError

BUILT_IN = (*vision.ARCHITECTURES, *text.ARCHITECTURES, *recommenders.ARCHITECTURES)

ARCHITECTURES: dict[str, Architecture] = {}
"""In the order of their registration, which is that of the help."""


def register(architecture: Architecture) -> None:
    """Make it known by its name; `ValueError` where that is taken, since a name alone stands in a manifest."""
    if (taken := ARCHITECTURES.get(architecture.name)) is not None:
        raise ValueError(f"arch: {architecture.name!r} is an architecture for {taken.task} already")
    ARCHITECTURES[architecture.name] = architecture


@contextmanager
def registered(*architectures: Architecture) -> Iterator[None]:
    """Known inside the block alone."""
    before = dict(ARCHITECTURES)
    try:
        for architecture in architectures:
            register(architecture)
        yield
    finally:
        ARCHITECTURES.clear()
        ARCHITECTURES.update(before)


def task_names() -> tuple[str, ...]:
    """The tasks that can be trained: those that an architecture is for."""
    return tuple(dict.fromkeys(found.task for found in ARCHITECTURES.values()))


def architectures_for(task: str) -> dict[str, Architecture]:
    return {name: found for name, found in ARCHITECTURES.items() if found.task == task}


def find_architecture(task: str, name: str) -> Architecture:
    """`ConfigError` lists those that the task has."""
    known = architectures_for(task)
    if name not in known:
        raise ConfigError(f"arch: {name!r} is no architecture for {task}; there are {', '.join(known)}")
    return known[name]


def embedded_pair(task: str) -> tuple[str, str]:
    """Data and architecture where none are named: a small set without a download, and a network quick to learn it."""
    pairs = ((found.embedded, found.name) for found in architectures_for(task).values() if found.embedded)
    return next(pairs, ("", ""))


for _architecture in BUILT_IN:
    register(_architecture)
