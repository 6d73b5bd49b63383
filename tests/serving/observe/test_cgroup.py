"""The container's limits are read from files as the kernel writes them."""

from pathlib import Path

import pytest

from serving.observe import cgroup
from serving.observe.cgroup import Throttling


def test_both_versions_of_cgroups_are_read_the_same(container: Path) -> None:
    assert cgroup.throttling(container) == Throttling(40, 10, 2.5)
    assert cgroup.memory_bytes(container) == 700
    assert cgroup.memory_limit_bytes(container) == 2000


@pytest.mark.parametrize(
    ("file", "text"), [("memory.max", "max\n"), ("memory/memory.limit_in_bytes", "9223372036854771712\n")]
)
def test_no_memory_limit_is_not_a_large_one(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert cgroup.memory_limit_bytes(tmp_path) is None


def test_outside_a_container_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert cgroup.throttling(tmp_path) is None
    assert cgroup.memory_bytes(tmp_path) is None
    assert cgroup.memory_limit_bytes(tmp_path) is None


def test_a_file_that_is_no_list_of_counts_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("nr_periods many\n")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.stat").write_text("nr_periods 4\nnr_throttled 1\nthrottled_time 0\n")
    assert cgroup.throttling(tmp_path) == Throttling(4, 1, 0.0)


def test_memory_without_its_statistics_is_all_in_use(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("1000\n")
    assert cgroup.memory_bytes(tmp_path) == 1000
    (tmp_path / "memory.stat").write_text("inactive_file 3000\n")
    assert cgroup.memory_bytes(tmp_path) == 0, "never less than nothing"
