"""The machine of a result. Its host is not named, since results are published."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from inference.runtime.machine import available_cpus, cpu_quota, gpus

_PACKAGES = ("baton", "httptools", "numpy", "onnxruntime", "onnxruntime-gpu", "uvloop")


class Machine(BaseModel):
    """A fingerprint: figures compare only where it agrees, and even then better by turns in one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taken: datetime
    cpu: str
    cores: int
    usable_cpus: int
    quota: float | None
    load_average: tuple[float, float, float] | None
    """Over 1, 5 and 15 minutes, before the first request: other programs were busy."""
    system: str
    python: str
    packages: dict[str, str]
    gpus: tuple[str, ...] = ()


def fingerprint() -> Machine:
    """This machine, now."""
    return Machine(
        taken=datetime.now(UTC).replace(microsecond=0),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        usable_cpus=available_cpus(),
        quota=cpu_quota(),
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=sys.version.split()[0],
        packages={name: found for name in _PACKAGES if (found := _version(name))},
        gpus=gpus(),
    )


def _cpu_model(file: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "unknown")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
