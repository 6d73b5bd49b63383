"""The files of a container's limits, as the kernel writes them in both versions of cgroups."""

from collections.abc import Callable
from pathlib import Path

import pytest


def version_2(root: Path) -> None:
    (root / "cpu.stat").write_text(
        "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 2500000\nnr_bursts 0\n"
    )
    (root / "memory.current").write_text("1000\n")
    (root / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    (root / "memory.max").write_text("2000\n")


def version_1(root: Path) -> None:
    (root / "cpu").mkdir()
    (root / "cpu/cpu.stat").write_text("nr_periods 40\nnr_throttled 10\nthrottled_time 2500000000\n")
    (root / "memory").mkdir()
    (root / "memory/memory.usage_in_bytes").write_text("1000\n")
    (root / "memory/memory.stat").write_text("cache 400\ntotal_inactive_file 300\n")
    (root / "memory/memory.limit_in_bytes").write_text("2000\n")


@pytest.fixture(params=[version_1, version_2], ids=["cgroup-1", "cgroup-2"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write: Callable[[Path], None] = request.param
    write(tmp_path)
    return tmp_path
