"""The progress of a fit: a bar in a terminal, lines in a log."""

from pathlib import Path

import pytest

from tests.training.fit.test_loop import configure, run
from training.fit.progress import EVERY_STEPS, Progress


@pytest.mark.slow
def test_a_terminal_is_shown_a_bar_with_metric_and_time_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    config = configure(tmp_path, "--epochs", "2", "--log-every-steps", "2")
    result = run(config.model_copy(update={"progress": True}))
    first, second = (line.split("\r")[-1] for line in capfd.readouterr().err.strip().split("\n")[-2:])
    assert first.startswith("epoch 1/2: 100%")
    assert second.startswith("epoch 2/2: 100%")
    assert f"val/accuracy={result.score:.4g}" in first + second
    assert "train/loss=" in first
    assert "left=0:00" in second


@pytest.mark.slow
def test_a_log_is_told_of_each_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "training.fit.progress")
    result = run(configure(tmp_path, "--epochs", "2").model_copy(update={"progress": True}))
    first, second = (
        record.getMessage() for record in caplog.records if record.name == "training.fit.progress"
    )
    assert first.startswith("epoch 1/2: train/loss ")
    assert f"val/accuracy {result.score:.4g}, " in first + second
    assert second.endswith(", 0:00 left")


def test_a_log_of_many_epochs_is_told_of_twenty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    progress = Progress(configure(tmp_path, "--epochs", "110", "--progress"), "loss", 1, 0)
    for epoch in range(110):
        progress.begin(epoch, 0)
        progress.end()
    told = [record.message.partition(":")[0] for record in caplog.records]
    assert told == [*(f"epoch {epoch}/110" for epoch in range(6, 110, 6)), "epoch 110/110"]


def test_the_time_left_is_at_the_pace_of_this_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("training.fit.progress.time.monotonic", lambda: now[0])
    caplog.set_level("INFO", "training.fit.progress")
    config = configure(tmp_path, "--epochs", "4").model_copy(update={"progress": True})
    progress = Progress(config, "val/accuracy", steps=20, done=40)  # two epochs of an earlier attempt
    progress.begin(2, 0)
    for _ in range(20):
        now[0] += 3.0
        progress.advance()
    progress.end()
    assert caplog.records[-1].getMessage().endswith("1:00 left")
    assert EVERY_STEPS <= 20, "the bar is refreshed more than once an epoch"


def test_nothing_is_shown_where_the_configuration_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", "training.fit.progress")
    progress = Progress(configure(tmp_path), "val/accuracy", steps=1, done=0)
    progress.begin(0, 0)
    progress.advance()
    progress.tell({"val/accuracy": 0.5})
    progress.end()
    assert not caplog.records
    assert capfd.readouterr().err == ""
