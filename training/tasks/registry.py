"""The tasks by name.

A new one is a file with a class on `TaskOf` and a line in `BUILT_IN`; or a call of `register` from elsewhere. It can be
trained as soon as `training.architectures.registry` has an architecture for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import ConfigError
from training.tasks.base import Task
from training.tasks.recommendation import RecommendationTask
from training.tasks.text import TextTask
from training.tasks.vision import VisionTask

BUILT_IN: tuple[Task, ...] = (VisionTask(), TextTask(), RecommendationTask())

TASKS: dict[str, Task] = {}


def register(task: Task) -> None:
    """Make it known by its name; `ValueError` where that is taken."""
    if task.name in TASKS:
        raise ValueError(f"task: {task.name!r} is registered already")
    TASKS[task.name] = task


@contextmanager
def registered(*tasks: Task) -> Iterator[None]:
    """Known inside the block alone."""
    before = dict(TASKS)
    try:
        for task in tasks:
            register(task)
        yield
    finally:
        TASKS.clear()
        TASKS.update(before)


def find_task(name: str) -> Task:
    """`ConfigError` lists those that there are."""
    if name not in TASKS:
        raise ConfigError(f"task: {name!r} is unknown; there are {', '.join(TASKS)}")
    return TASKS[name]


for _task in BUILT_IN:
    register(_task)
