"""Two graphs beside each other: scores on validation, latency by turns."""

from pathlib import Path

import numpy as np
import pytest

from inference.runtime.session import OrtSession
from inference.values import Tensors
from tests.training.release.graphs import linear_classifier
from training.config import load_config
from training.release.measure import GraphModel, latency_ratio, score_on_validation
from training.tasks.registry import find_task


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_classifier(tmp_path_factory.mktemp("graph") / "model.onnx")


def session(graph: Path) -> OrtSession:
    return OrtSession(graph.read_bytes(), graph)


def test_the_score_is_that_of_the_graph_on_validation(graph: Path) -> None:
    task = find_task("vision")
    data = task.load(load_config("vision", ("--data", "digits", "--arch", "mlp")))
    logits = GraphModel(session(graph))(data.validation.pixels)
    right = (logits.argmax(1) == data.validation.labels).double().mean().item()
    assert score_on_validation(session(graph), task, data, "accuracy") == pytest.approx(right)


class Stepped:
    """Takes so many seconds of a clock that is set by hand, and thirty times as many while it is cold."""

    def __init__(self, now: list[float], seconds: float, asked: list[float]) -> None:
        self.now, self.seconds, self.asked = now, seconds, asked
        self.cold = 10

    def run(self, tensors: Tensors) -> None:
        self.now[0] += self.seconds * (30 if self.cold > 0 and self.seconds > 1 else 1)
        self.cold -= 1
        self.asked.append(self.seconds)


def test_latency_is_a_ratio_of_medians_of_runs_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], []  # type: ignore[var-annotated]
    monkeypatch.setattr("training.release.measure.time.perf_counter", lambda: now[0])
    fast, slow = Stepped(now, 1.0, asked), Stepped(now, 4.0, asked)
    assert latency_ratio(fast, slow, {}, rounds=3) == 0.25  # type: ignore[arg-type]
    assert asked == [1.0, 4.0] * 13, "ten rounds to warm up, then three"


def test_a_graph_is_as_fast_as_itself(graph: Path) -> None:
    sessions = [session(graph) for _ in range(2)]
    rows = {"image": np.zeros((1, 8, 8, 1), np.uint8)}
    assert latency_ratio(sessions[0], sessions[1], rows, rounds=300) == pytest.approx(1, abs=0.5)
