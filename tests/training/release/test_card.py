"""The card: every figure that the manifest has, and nothing of what was not measured."""

from pathlib import Path

import pytest

from inference.configs import Conformal
from inference.manifest import Calibration, ClassScore, DistilledFrom, Evaluation, Pruning, SliceScore
from training.config import load_config
from training.evaluate.report import Report
from training.fit.train import FitResult
from training.release.card import add_int8, add_pruning, write_card
from training.release.quantize import Quantization, Trial
from training.tasks.registry import find_task

CONFIG = load_config("vision", ("--data", "digits", "--arch", "mlp"))
DATA = find_task("vision").load(CONFIG)
FITTED = FitResult("accuracy", 0.9123, epochs=3, steps=1234, parameters=5678, seconds=1.5)
PLAIN = Report(evaluation=Evaluation(split="test", rows=359, metrics={"accuracy": 0.9, "macro_f1": 0.8}))


def written(tmp_path: Path, report: Report, teacher: DistilledFrom | None = None) -> str:
    write_card(tmp_path / "card.md", CONFIG, DATA, FITTED, report, teacher)
    return (tmp_path / "card.md").read_text()


def sections(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_a_plain_report_has_figures_plots_and_training_alone(tmp_path: Path) -> None:
    text = written(tmp_path, PLAIN)
    assert text.startswith("# digits: mlp trained on digits\n")
    assert "| macro f1 | 0.8000 |" in text
    assert sections(text) == ["Plots", "Data and training"]
    assert "![Learning curves](learning_curves.png)" in text
    assert "5,678 parameters, 3 epochs, 1,234 steps" in text
    assert "validation accuracy 0.9123" in text


def test_all_that_was_measured_has_its_section(tmp_path: Path) -> None:
    scores = (SliceScore(column="label", value="3", rows=4, metric="accuracy", score=0.5, low=0.2, high=0.8),)
    evaluation = PLAIN.evaluation.model_copy(
        update={
            "per_class": (ClassScore(label="3", precision=0.1, recall=0.2, f1=0.3, rows=4),),
            "slices": scores,
            "robustness": {"clean": 0.9, "blur, radius 1": 0.7},
        }
    )
    report = PLAIN.model_copy(
        update={
            "evaluation": evaluation,
            "calibration": Calibration(
                temperature=1.5,
                ece_before=0.1,
                ece_after=0.01,
                bins=15,
                reason="held-out NLL is lower",
                ece_low=0.004,
                ece_high=0.012,
                ece_noise=0.006,
            ),
            "conformal": Conformal(
                quantiles={"0.95": 0.7},
                covered={"0.95": 0.951},
                default="0.95",
                rows=2500,
                apart=True,
                standard_error={"0.95": 0.0044},
                sizes={"0.95": 1.104},
                lowest={"0.95": 0.82},
            ),
            "pictures": {"confusion.png": "Confusion"},
        }
    )
    text = written(tmp_path, report, DistilledFrom(name="big", version=7, digest="0" * 64))
    assert sections(text) == [
        "By class", "Calibration", "Prediction sets", "Slices of test", "Robustness", "Plots", "Data and training",
    ]  # fmt: skip
    assert "| 3 | 0.100 | 0.200 | 0.300 | 4 |" in text
    assert "from 0.1000 to 0.0100" in text
    assert "interval is 0.0040 to 0.0120; by chance alone a calibrated model has 0.0060" in text
    assert "| 0.95 | 0.9510 | 0.0044 | 0.8200 | 1.10 |" in text
    assert "2,500 calibration rows that chose nothing" in text
    assert "| blur, radius 1 | 0.7000 |" in text
    assert "![Confusion](confusion.png)" in text
    assert "- Distilled from the bundle big, version 7" in text


def test_a_model_that_cannot_be_calibrated_says_so(tmp_path: Path) -> None:
    none = Calibration(temperature=1, ece_before=0.1, ece_after=0.1, bins=15, method="none", reason="40 rows")
    text = written(tmp_path, PLAIN.model_copy(update={"calibration": none}))
    assert "No temperature was taken" in text
    assert "The reason for the temperature: 40 rows." in text
    assert "no prediction sets" in text


def test_int8_is_told_whether_it_was_accepted_or_not(tmp_path: Path) -> None:
    good, large = Trial(score=0.9, size=30, latency_ratio=0.5), Trial(score=None, size=90, latency_ratio=None)
    tried = Quantization(
        metric="accuracy", budget=0.5, score=0.91, size=100, tried={"tables": large}, chosen=None
    )
    card = tmp_path / "card.md"
    card.write_text("# Card\n")
    add_int8(card, tried, {"fp32": PLAIN})
    assert card.read_text().splitlines()[-2:] == [
        "- tables: 0.90 of the size: refused, expected at most 0.6",
        "- Served unless told otherwise: fp32",
    ]
    accepted = tried.model_copy(update={"tried": {"static": good}, "chosen": "static"})
    add_int8(card, accepted, {"fp32": PLAIN, "int8": PLAIN})
    assert "| macro f1 | 0.8000 | 0.8000 |" in card.read_text()
    assert card.read_text().endswith("0.50 of the latency\n- Served unless told otherwise: int8\n")


@pytest.mark.parametrize(
    ("accepted", "words"), [(True, "0.25 of the dense graph's size"), (False, "refused")]
)
def test_pruning_is_told_whether_it_was_accepted_or_not(tmp_path: Path, accepted: bool, words: str) -> None:
    gain = {"sparsity": 0.8, "compressed_size": 25, "dense_compressed_size": 100, "latency_ratio": 1.0}
    pruning = Pruning.model_validate(
        {"share": 0.8, "metric": "accuracy", "dense_score": 0.9, "score": 0.89, "budget": 0.5}
        | {"accepted": accepted}
        | (gain if accepted else {})
    )
    (tmp_path / "card.md").write_text("# Card\n")
    add_pruning(tmp_path / "card.md", pruning)
    assert words in (tmp_path / "card.md").read_text()
