"""The tasks by name."""

from training.errors import ConfigError
from training.tasks.base import Task
from training.tasks.recommendation import RecommendationTask
from training.tasks.text import TextTask
from training.tasks.vision import VisionTask

_ALL: tuple[Task, ...] = (VisionTask(), TextTask(), RecommendationTask())

TASKS = {task.name: task for task in _ALL}


def find_task(name: str) -> Task:
    if name not in TASKS:
        raise ConfigError(f"task: {name!r} is unknown; there are {', '.join(TASKS)}")
    return TASKS[name]
