"""The effect of the container's limits on this process: CPU periods that were throttled, and memory against its limit.

The kernel counts it in the cgroup's files, of version 2 or version 1; outside a container, or where they are
hidden, there is nothing to tell.
"""

from dataclasses import dataclass
from os import sysconf
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")

_UNLIMITED = 1 << 60  # version 1 writes the largest multiple of a page where there is no limit


@dataclass(frozen=True, slots=True)
class Throttling:
    """Of the CPU quota, since the container started."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


def throttling(root: Path = ROOT) -> Throttling | None:
    """How often the quota stopped the container; None where nothing is counted."""
    for file in (root / "cpu.stat", root / "cpu" / "cpu.stat"):
        try:
            lines = file.read_text().splitlines()
            counts = {name: int(value) for name, value in (line.split() for line in lines)}
        except (OSError, ValueError):
            continue
        if "nr_periods" in counts:
            # Microseconds in version 2, nanoseconds in version 1.
            seconds = counts.get("throttled_usec", 0) * 1e-6 + counts.get("throttled_time", 0) * 1e-9
            return Throttling(counts["nr_periods"], counts["nr_throttled"], seconds)
    return None


def memory_bytes(root: Path = ROOT) -> int | None:
    """Bytes that the container uses, as Kubernetes counts them: without page cache that can be dropped at once."""
    for used, stat, dropped in (
        (root / "memory.current", root / "memory.stat", "inactive_file"),
        (root / "memory/memory.usage_in_bytes", root / "memory/memory.stat", "total_inactive_file"),
    ):
        value = _number(used)
        if value is not None:
            return max(0, value - _entry(stat, dropped))
    return None


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Bytes that the container may use; None without a limit."""
    for file in (root / "memory.max", root / "memory/memory.limit_in_bytes"):
        value = _number(file)
        if value is not None:
            return value if value < _UNLIMITED else None
    return None


def memory_here_bytes(root: Path = ROOT) -> int:
    """Bytes that this process can have: the container's limit, else the machine's memory."""
    machine = sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES")
    return min(memory_limit_bytes(root) or machine, machine)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" is no number either
        return None


def _entry(file: Path, name: str) -> int:
    try:
        found = [line.split()[1] for line in file.read_text().splitlines() if line.split()[0] == name]
    except (OSError, IndexError):
        return 0
    return int(found[0]) if found else 0
