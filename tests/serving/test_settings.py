"""Settings come from flags and from the environment; a name that was given up still works, and says so."""

from collections.abc import Sequence
from pathlib import Path
from socket import socket

import pytest
from pydantic import ValidationError

from serving.server import BatonServer, serve
from serving.settings import DEPRECATED, Settings, listed, read_settings
from serving.workers.supervisor import supervise

RENAMED = sorted(DEPRECATED.items())


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PORT", "9000")
    monkeypatch.setenv("BATON_INTRA_OP_THREADS", "3")
    settings = read_settings(["--port", "9001", "--instances", "2"])
    assert (settings.port, settings.instances, settings.intra_op_threads) == (9001, 2, 3)
    assert settings.deprecations() == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("64MB", 64_000_000),
        ("16 mib", 16 << 20),
        ("20971520", 20971520),
    ],
)
def test_sizes_are_written_as_people_write_them(text: str, size: int) -> None:
    settings = read_settings(["--max-inflight-bytes", text, "--max-body-bytes", text])
    assert (settings.max_inflight_bytes, settings.max_body_bytes) == (size, size)


@pytest.mark.parametrize("text", ["a lot", "1.5GiB", "-1", "64XB", ""])
def test_what_is_no_size_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(max_inflight_bytes=text)
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("max_inflight_bytes",)
    assert "expected one such as 512MiB" in fault["msg"]


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_a_deprecated_flag_sets_the_new_name_and_is_told_once(old: str, new: str) -> None:
    settings = read_settings([flag(old), "2"])
    assert getattr(settings, new) == 2
    (line,) = settings.deprecations()
    assert flag(old) in line
    assert f"use {flag(new)} (BATON_{new.upper()})" in line


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_a_deprecated_variable_sets_the_new_name_too(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    monkeypatch.setenv(f"BATON_{old.upper()}", "2")
    assert getattr(read_settings([]), new) == 2
    assert len(read_settings([flag(new), "2"]).deprecations()) == 1


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_two_names_with_two_values_are_refused(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.setenv(f"BATON_{old.upper()}", "2")
    with pytest.raises(ValidationError) as refused:
        read_settings([flag(new), "3"])
    (fault,) = refused.value.errors()
    assert (fault["loc"], fault["input"]) == ((old,), "2")
    assert f"{flag(new)} is 3; expected only one of them, or the same value" in fault["msg"]


def test_zero_runs_at_once_under_the_deprecated_name_is_the_event_loop() -> None:
    assert Settings(concurrent_runs=0).instances == 0
    assert Settings(concurrent_runs=0, instances=None).instances == 0


class EndsAtOnce:
    """A supervisor that starts no worker."""

    def __init__(self, settings: Settings, arguments: Sequence[str], listener: socket) -> None:
        self.listener = listener

    async def run(self) -> int:
        self.listener.close()
        return 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_start_logs_one_line_for_a_deprecated_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    """Of several processes only the supervisor tells it."""
    monkeypatch.setattr(BatonServer, "run", lambda _: None)
    monkeypatch.setattr("serving.workers.supervisor.Supervisor", EndsAtOnce)
    settings = Settings(models=tmp_path, port=0, concurrent_runs=1, workers=workers)
    assert (serve(settings) if workers == 1 else supervise(settings, [])) == 0
    told = [record.message for record in caplog.records if "deprecated" in record.message]
    assert told == [
        "--concurrent-runs (BATON_CONCURRENT_RUNS) is deprecated: use --instances (BATON_INSTANCES)"
    ]


def test_parts_of_a_list_are_stripped_and_empty_ones_left_out() -> None:
    assert listed(" a, b ,,c ") == ["a", "b", "c"]
    assert listed("") == []


def test_help_names_a_default_only_where_it_says_something(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "port to listen on; 0 takes a free one (default: 8000)" in shown
    assert "default: None" not in shown
    assert "(default: )" not in shown
