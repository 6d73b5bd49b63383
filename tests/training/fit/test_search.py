"""`--search`: trials on validation within a budget, the best taken, none done twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.architectures.defaults import Defaults
from training.config import TrainConfig, load_config
from training.errors import ConfigError, RunError
from training.fit import search
from training.fit.search import chosen_settings, draws
from training.fit.train import FitResult, fit, load_data
from training.run import RunFiles, open_run

FLAGS = ("--data", "tickets", "--arch", "bag", "--epochs", "1", "--batch-size", "200", "--threads", "1")
SMALL = ("--model", '{"buckets": 4096}', "--no-progress", "--accelerator", "cpu")


def configure(root: Path, *more: str) -> TrainConfig:
    return load_config("text", (*FLAGS, *SMALL, "--run", str(root / "run"), *more))


def run(config: TrainConfig) -> tuple[TrainConfig, RunFiles]:
    files = open_run(config)
    data = load_data(config, files)
    return chosen_settings(config, files, data), files


def test_the_first_trial_has_the_defaults_and_flags_are_never_varied(tmp_path: Path) -> None:
    drawn = draws(configure(tmp_path, "--search", "6", "--learning-rate", "0.5"))
    assert drawn[0] == {}
    assert len(drawn) == 6
    for one in drawn[1:]:
        assert not {"learning_rate", "epochs", "batch_size"} & one.keys()
        assert "buckets" not in one["model"]
    assert drawn == draws(configure(tmp_path, "--search", "6", "--learning-rate", "0.5"))


def test_the_best_trial_becomes_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, files = run(configure(tmp_path, "--search", "3"))
    record = json.loads(files.search.read_text())
    scores = [trial["score"] for trial in record["trials"]]
    assert scores[record["best"]] == max(scores)
    assert json.loads(files.fit.read_text())["score"] == max(scores)
    assert config.learning_rate == record["trials"][record["best"]]["drawn"].get(
        "learning_rate", configure(tmp_path).learning_rate
    )
    # Again: every trial is read, and none is fitted.
    monkeypatch.setattr("training.fit.train.build_model", lambda *_: pytest.fail("a trial was fitted again"))
    again, _ = run(configure(tmp_path, "--search", "3"))
    assert again == config


def test_the_settings_of_a_search_are_those_that_its_best_trial_was_fitted_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows want smaller batches than the one that was drawn."""
    tried: list[TrainConfig] = []

    def rising(config: TrainConfig, *others: Any) -> FitResult:
        tried.append(config)
        return replace(fit(config, *others), score=float(len(tried)))

    monkeypatch.setattr(search, "fit", rising)
    monkeypatch.setattr(search, "draws", lambda _: [{}, {"batch_size": 128}])
    flags = ("--data", "tickets", "--arch", "bag", "--threads", "1", "--search", "2")
    config = load_config("text", (*flags, *SMALL, "--run", str(tmp_path / "run")))
    files = open_run(config)
    data = load_data(config, files)
    sixty = replace(data.train, starts=data.train.starts[:61], labels=data.train.labels[:60])
    few = replace(data, train=sixty)
    assert chosen_settings(config, files, few) == tried[1]
    assert tried[1].batch_size == 4


def test_no_trial_begins_when_the_budget_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*given: Any) -> FitResult:
        return replace(fit(*given), seconds=61.0)

    monkeypatch.setattr(search, "fit", slow)
    _, files = run(configure(tmp_path, "--search", "3", "--search-minutes", "1"))
    scores = [trial["score"] for trial in json.loads(files.search.read_text())["trials"]]
    assert scores[0] is not None
    assert scores[1:] == [None, None]


def test_a_search_that_was_begun_with_other_trials_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(configure(tmp_path, "--search", "2", "--search-minutes", "0.0001"))
    monkeypatch.setattr(search, "draws", lambda _: [{}, {"learning_rate": 9.0}])
    with pytest.raises(RunError, match="begun with other flags"):
        run(configure(tmp_path, "--search", "2", "--search-minutes", "0.0001"))


def test_an_architecture_without_a_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("recommendation", ("--data", "shop", "--arch", "mf", "--search", "2"))
    monkeypatch.setattr(search, "defaults_of", lambda _: Defaults())
    with pytest.raises(ConfigError, match="no setting to vary"):
        draws(config)
