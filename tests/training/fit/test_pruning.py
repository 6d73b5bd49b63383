"""Pruned weights stay zero, are published only inside the budget, and the manifest tells what came of them."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.training.fixed import FIXED
from training.config import TrainConfig, load_config
from training.errors import ConfigError
from training.pipeline import train
from training.release.compress import sparsity
from training.run import RunFiles

FLAGS = ("--data", "digits", "--arch", "mlp", "--name", "digits", "--epochs", "2", "--batch-size", "64")
PRUNED = ("--prune", "0.8", "--prune-epochs", "2", "--quantize", "off", "--no-robustness")


def configure(root: Path, *more: str) -> TrainConfig:
    flags = (*FLAGS, *FIXED, *PRUNED, "--models", str(root / "models"), "--run", str(root / "run"), *more)
    return load_config("vision", flags)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose pruned weights were taken, whatever they cost."""
    path = tmp_path_factory.mktemp("pruned")
    train(configure(path, "--prune-budget", "100"))
    return path


def manifest_of(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "models" / "digits" / "1" / "manifest.json").read_text())
    return found


@pytest.mark.slow
def test_the_published_graph_has_the_zeros_that_its_manifest_tells_of(root: Path) -> None:
    told = manifest_of(root)["pruning"]
    assert told["accepted"] is True
    assert told["sparsity"] == pytest.approx(0.8, abs=0.01)
    assert sparsity(root / "models" / "digits" / "1" / "model.onnx") == told["sparsity"]
    assert told["compressed_size"] < 0.5 * told["dense_compressed_size"]
    assert told["latency_ratio"] > 0
    assert "## Pruning\n\n- 80% of the weights" in (root / "models" / "digits" / "1" / "card.md").read_text()
    fitted = json.loads((root / "run" / "pruned" / "fit.json").read_text())
    assert told["score"] == fitted["score"]


@pytest.mark.slow
def test_the_pruned_graph_is_compared_with_a_dense_one_of_the_same_outputs(root: Path) -> None:
    files = RunFiles(root / "run")
    pruned, dense = (
        [output.name for output in onnx.load(graph).graph.output]
        for graph in (files.graph, files.pruned.graph)
    )
    assert pruned == dense


@pytest.mark.slow
def test_weights_that_lose_more_than_the_budget_leave_the_model_dense(tmp_path: Path) -> None:
    train(configure(tmp_path, "--prune", "0.98", "--prune-epochs", "1", "--prune-budget", "0.1"))
    told = manifest_of(tmp_path)["pruning"]
    assert (told["accepted"], told["sparsity"], told["latency_ratio"]) == (False, None, None)
    assert told["dense_score"] - told["score"] > 0.001
    assert sparsity(tmp_path / "models" / "digits" / "1" / "model.onnx") < 0.01
    assert "refused, the budget is 0.1 points" in (tmp_path / "models/digits/1/card.md").read_text()


@pytest.mark.slow
def test_a_dense_run_says_nothing_of_pruning_and_a_bag_has_nothing_to_prune(root: Path) -> None:
    assert not RunFiles(root / "run").pruned.published.exists()
    assert load_config("vision", FLAGS).prune == 0
    with pytest.raises(ConfigError, match="zero is a correction of none"):
        load_config("text", ("--data", "tickets", "--arch", "bag", "--prune", "0.5"))
