"""The tasks by name."""

import pytest

from training.architectures.registry import task_names
from training.errors import ConfigError
from training.tasks.registry import BUILT_IN, TASKS, find_task


def test_every_task_has_an_architecture_and_the_other_way_round() -> None:
    assert tuple(TASKS) == task_names() == tuple(find_task(name).name for name in BUILT_IN)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_known_to_serving_by_its_own_name(name: str) -> None:
    assert find_task(name).manifest_task == name


def test_an_unknown_task_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="task: 'audio' is unknown; there are vision, text, recommendation"):
        find_task("audio")
