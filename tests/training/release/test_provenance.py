"""Where a model came from, without a trace of this machine."""

import json
from pathlib import Path

import pytest

from training.config import load_config
from training.fit.train import FitResult
from training.release import provenance as module
from training.release.provenance import LIBRARIES, code_revision, command, flat_config, provenance

DATA = Path("/srv/own/mail.csv")
CONFIG = load_config(
    "text", ("--data", str(DATA), "--arch", "bag", "--teacher", "/srv/models/tickets/3", "--no-robustness")
)


def test_data_are_named_without_their_folder_and_models_by_name_and_version() -> None:
    flat = flat_config(CONFIG)
    assert (flat["data"], flat["teacher"], flat["init_from"]) == ("mail.csv", "tickets/3", "")
    assert json.loads(str(flat["model"])) == CONFIG.model
    assert "/srv" not in command(CONFIG)
    assert "--teacher tickets/3" in command(CONFIG)


def test_settings_of_the_run_alone_are_no_part_of_the_model() -> None:
    assert not {"run", "models", "threads", "progress"} & flat_config(CONFIG).keys()


def test_the_record_has_the_fit_and_every_library() -> None:
    fitted = FitResult("accuracy", 0.9, epochs=3, steps=30, parameters=77, seconds=1.5)
    record = provenance(CONFIG, fitted)
    assert (record.parameters, record.epochs, record.train_seconds, record.seed) == (77, 3, 1.5, CONFIG.seed)
    assert record.libraries.keys() == set(LIBRARIES)


def test_outside_of_git_the_revision_is_unknown_and_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "abc", "status": " M loop.py"}
    monkeypatch.setattr(module, "_git", lambda _, verb, *more: answers[verb])
    assert code_revision() == "abc+changes"
    answers["status"] = ""
    assert code_revision() == "abc"

    def no_git(*_: object) -> str:
        raise FileNotFoundError("git")

    monkeypatch.setattr(module, "_git", no_git)
    assert code_revision() == "unknown"
