"""The CPUs and GPUs that this process may use."""

from pathlib import Path

import pytest

from inference.runtime.machine import available_cpus, cpu_quota, gpus


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_is_read_from_either_cgroup_version(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cpu_quota(tmp_path) == quota


def test_GPUs_are_named_as_the_driver_does(tmp_path: Path) -> None:  # noqa: N802
    assert gpus(tmp_path) == ()
    for slot, model in (("0000:00:07.0", "NVIDIA L4"), ("0000:00:06.0", "NVIDIA H200")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(f"Model: \t\t {model}\nBus Type: \t PCIe\n")
    assert gpus(tmp_path) == ("NVIDIA H200", "NVIDIA L4")


def test_threads_are_planned_for_the_quota_rounded_up_and_never_for_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000")
    assert available_cpus(tmp_path) == 1
