"""int8 beside fp32: smaller, inside its budget or refused, scored on its own, and served only where it is faster."""

from pathlib import Path

import httpx
import onnx
import pytest

from inference.errors import GoldenMismatch
from inference.manifest import Company, Manifest
from inference.predictor import Predictor
from inference.proving.golden import Golden
from inference.store.bundle import Bundle
from tests.serving.servers import start
from tests.training.fixed import FIXED
from training.config import TrainConfig, load_config
from training.pipeline import train
from training.release import quantize as step
from training.release import verify
from training.release.quantize import Quantization, describe_trial, quantize
from training.run import RunFiles
from training.tasks.base import Int8Method
from training.tasks.registry import find_task
from training.tasks.vision import VisionTask

pytestmark = pytest.mark.slow

FLAGS = ("--data", "digits", "--arch", "mlp", "--name", "digits", "--epochs", "2", "--batch-size", "64")


def configure(root: Path, *more: str) -> TrainConfig:
    return load_config(
        "vision", (*FLAGS, *FIXED, "--models", str(root / "models"), "--run", str(root / "run"), *more)
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8")
    train(configure(path))
    return path


def manifest_at(path: Path) -> Manifest:
    return Bundle.open(path).manifest


def found_by(root: Path) -> Quantization:
    return Quantization.model_validate_json(RunFiles(root / "run").quantization.read_text())


def test_int8_is_a_quarter_of_the_size_and_has_its_own_figures(root: Path) -> None:
    manifest = manifest_at(root / "models/digits/1")
    graph = manifest.graphs["int8"]
    # The outlier score stays as it is in both.
    initializers = onnx.load(root / "models/digits/1/model.onnx").graph.initializer
    kept = sum(one.ByteSize() for one in initializers if ".outliers." in one.name)
    assert manifest.files[graph.file].size - kept < 0.35 * (manifest.files["model.onnx"].size - kept)
    assert graph.evaluation is not None
    assert graph.evaluation.metrics["accuracy"] > 0.85
    assert graph.latency_ratio is not None


def test_the_precision_that_is_served_follows_from_the_measured_latency(root: Path) -> None:
    manifest = manifest_at(root / "models/digits/1")
    ratio = manifest.graphs["int8"].latency_ratio
    assert ratio is not None
    assert manifest.serve == ("int8" if ratio < step.FASTER else "fp32")


def test_int8_answers_are_proved_by_their_own_tolerance(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "models/digits/1"
    Predictor.open(path, "int8")
    golden = Golden.read(Bundle.open(path))
    assert golden.tolerances["int8"].atol > golden.tolerances["fp32"].atol
    strict = golden.model_copy(
        update={"tolerances": {**golden.tolerances, "int8": golden.tolerances["fp32"]}}
    )
    monkeypatch.setattr(Golden, "read", classmethod(lambda *_: strict))
    with pytest.raises(GoldenMismatch):
        Predictor.open(path, "int8")


def test_a_server_told_so_runs_the_int8_graph(root: Path) -> None:
    with start(models=root / "models", precision="int8") as server:
        (said,) = httpx.get(f"{server.url}/v2/diagnostics").json()["models"]
        manifest = manifest_at(root / "models/digits/1")
        picture = (root / "models/digits/1/golden/03.png").read_bytes()
        answer = httpx.post(
            f"{server.url}/v1/models/digits:predict", content=picture, headers={"content-type": "image/png"}
        ).json()["predictions"][0]
    assert said["precision"] == "int8"
    assert said["graph_sha256"] == manifest.files["model.int8.onnx"].sha256
    assert answer["label"] == "3"


def test_another_budget_is_measured_anew_and_off_means_none(root: Path, tmp_path: Path) -> None:
    RunFiles(root / "run").published.unlink()
    assert "int8" not in manifest_at(train(configure(root, "--quantize", "off"))).graphs
    RunFiles(root / "run").published.unlink()
    published = train(configure(root, "--quantize-budget", "3"))
    assert found_by(root).budget == 3
    assert "## int8" in (published / "card.md").read_text()


def quantized(root: Path, target: Path, budget: float = 0.5) -> Quantization:
    task = find_task("vision")
    config = configure(root, "--quantize-budget", str(budget))
    return quantize(task, RunFiles(root / "run").graph, task.load(config), target, config)


def try_only(monkeypatch: pytest.MonkeyPatch, *methods: Int8Method) -> None:
    monkeypatch.setattr(VisionTask, "int8_methods", methods)


def test_int8_outside_the_budget_is_refused_and_nothing_left(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.9, 0.8))
    monkeypatch.setattr(step, "score_on_validation", lambda *_: next(scores))
    target = tmp_path / "int8.onnx"
    target.write_bytes(b"of another budget")
    found = quantized(root, target)
    assert found.accepted is None
    assert found.tried["static"].latency_ratio is None
    assert "refused, the budget is 0.5 points" in describe_trial(found, found.tried["static"])
    assert not target.exists()


def test_where_one_method_is_refused_the_next_is_tried(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_only(monkeypatch, "tables", "dynamic", "static")
    found = quantized(root, tmp_path / "int8.onnx", 5)
    assert "1.00 of the size: refused, expected at most 0.6" in describe_trial(found, found.tried["tables"])
    assert found.chosen == "static"
    assert (tmp_path / "int8.onnx").stat().st_size == found.tried["static"].size


def test_dynamic_quantization_is_refused_since_its_rows_share_a_scale(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_only(monkeypatch, "dynamic")
    found = quantized(root, tmp_path / "int8.onnx")
    assert found.chosen is None
    assert "refused, DynamicQuantizeLinear takes one scale over the whole batch" in describe_trial(
        found, found.tried["dynamic"]
    )
    assert not (tmp_path / "int8.onnx").exists()


def test_rows_tell_what_no_operator_is_known_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "mixes_by_design", lambda _: "")
    try_only(monkeypatch, "dynamic")
    found = quantized(root, tmp_path / "int8.onnx")
    assert "changes with its company" in found.tried["dynamic"].depends


def test_without_the_proof_it_would_be_published(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = Company(rows=8, others=4, batch_size=64, worst=0)
    monkeypatch.setattr(step, "company_of", lambda *_: unseen)
    try_only(monkeypatch, "dynamic")
    assert quantized(root, tmp_path / "int8.onnx", 5).chosen == "dynamic"


def test_both_graphs_of_a_bundle_say_that_their_rows_keep_apart(root: Path) -> None:
    for graph in manifest_at(root / "models/digits/1").graphs.values():
        assert graph.company is not None
        assert (graph.company.rows, graph.company.others, graph.company.batch_size) == (8, 4, 64)


def test_what_an_older_release_accepted_is_tried_again(root: Path) -> None:
    """Its run does not say that rows keep apart."""
    files = RunFiles(root / "run")
    found = found_by(root)
    assert found.chosen is not None
    unproved = found.tried[found.chosen].model_copy(update={"company": None})
    older = found.model_copy(update={"tried": {found.chosen: unproved}})
    files.quantization.write_text(older.model_dump_json())
    files.published.unlink()
    train(configure(root, "--quantize-budget", str(found.budget)))
    assert found_by(root).proved
