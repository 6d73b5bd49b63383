"""The tasks by name."""

from training.errors import ConfigError
from training.tasks.base import Task
from training.tasks.recommendation import RecommendationTask
from training.tasks.vision import VisionTask

TASKS: dict[str, Task] = {task.name: task for task in (VisionTask(), RecommendationTask())}


def find_task(name: str) -> Task:
    if name not in TASKS:
        raise ConfigError(f"task: {name!r} is unknown; there are {', '.join(TASKS)}")
    return TASKS[name]
