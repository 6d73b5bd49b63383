"""The tasks by name; a task's module, and PyTorch with it, is imported when the task is asked for.

A new one is a file with a class on `TaskOf`, and a function and a line in `BUILT_IN`; or a call of `register` from
elsewhere. It can be trained as soon as `training.architectures.registry` has an architecture for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from training.errors import ConfigError

if TYPE_CHECKING:
    from training.tasks.base import Task


@cache
def _vision() -> "Task":
    from training.tasks.vision import VisionTask

    return VisionTask()


@cache
def _text() -> "Task":
    from training.tasks.text import TextTask

    return TextTask()


@cache
def _recommendation() -> "Task":
    from training.tasks.recommendation import RecommendationTask

    return RecommendationTask()


BUILT_IN: dict[str, Callable[[], "Task"]] = {
    "vision": _vision,
    "text": _text,
    "recommendation": _recommendation,
}

TASKS = dict(BUILT_IN)
"""A function for each task, which gives always the same one."""


def register(task: "Task") -> None:
    """Make it known by its name; `ValueError` where that is taken."""
    if task.name in TASKS:
        raise ValueError(f"task: {task.name!r} is registered already")
    TASKS[task.name] = lambda: task


@contextmanager
def registered(*tasks: "Task") -> Iterator[None]:
    """Known inside the block alone."""
    before = dict(TASKS)
    try:
        for task in tasks:
            register(task)
        yield
    finally:
        TASKS.clear()
        TASKS.update(before)


def find_task(name: str) -> "Task":
    """`ConfigError` lists those that there are."""
    if name not in TASKS:
        raise ConfigError(f"task: {name!r} is unknown; there are {', '.join(TASKS)}")
    return TASKS[name]()


def borrowed_settings(name: str) -> frozenset[str]:
    """Settings of other tasks that a task has, too. The settings themselves name each task of `BUILT_IN`."""
    return frozenset() if name in BUILT_IN else find_task(name).settings
