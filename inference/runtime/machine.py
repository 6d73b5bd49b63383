"""How much processor this process may really use, which is seldom all of the host's."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_GPUS = Path("/proc/driver/nvidia/gpus")


def cpu_quota(root: Path = _CGROUP) -> float | None:
    """CPUs that the cgroup grants: v2's `cpu.max`, else v1's CFS quota; None where there is no limit."""
    for quota, period in (_read_v2(root), _read_v1(root)):
        if quota is not None and period:
            return quota / period
    return None


def available_cpus(root: Path = _CGROUP) -> int:
    """Whole CPUs to plan threads for: the smaller of affinity and quota (rounded up), at least 1.

    ONNX Runtime sizes its pools to the host's cores inside a quota (microsoft/onnxruntime issue 29510),
    so this is passed to it explicitly.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return max(1, affinity if quota is None else min(affinity, -int(-quota // 1)))


def cpu_share(processes: int) -> int:
    """Whole CPUs for each of so many processes side by side, at least 1."""
    return max(1, available_cpus() // processes)


def gpus(root: Path = _GPUS) -> tuple[str, ...]:
    """The models of the NVIDIA GPUs here, as the driver names them; none without a driver."""
    told = [file.read_text() for file in sorted(root.glob("*/information"))]
    lines = [line.partition(":") for text in told for line in text.splitlines()]
    return tuple(value.strip() for name, _, value in lines if name.strip() == "Model")


def _read_v2(root: Path) -> tuple[int | None, int]:
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None, 0
    return (None if quota == "max" else int(quota)), int(period)


def _read_v1(root: Path) -> tuple[int | None, int]:
    try:
        quota = int((root / "cpu/cpu.cfs_quota_us").read_text())
        period = int((root / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None, 0
    return (quota if quota > 0 else None), period
