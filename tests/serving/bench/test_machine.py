"""A result describes its machine, and does not name the host."""

import platform
import socket
from pathlib import Path

from serving.bench.machine import _cpu_model, fingerprint


def test_the_fingerprint_has_the_machine_and_not_the_host() -> None:
    found = fingerprint()
    assert 1 <= found.usable_cpus <= found.cores
    assert found.python == platform.python_version()
    assert found.packages.keys() >= {"numpy", "onnxruntime"}
    assert socket.gethostname() not in found.model_dump_json()


def test_the_cpu_is_named_by_proc_and_unknown_without_a_name(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast 9000\nmodel name\t: Other\n")
    assert _cpu_model(file) == "Fast 9000"
    file.write_text("processor\t: 0\n")
    assert _cpu_model(file) == "unknown"
