"""The report on disk: its field names are those that runs were written with."""

import pytest
from pydantic import ValidationError

from inference.manifest import Evaluation
from training.evaluate.report import Report


def test_a_report_of_an_unfinished_run_is_read_by_its_own_names() -> None:
    stored = '{"evaluation": {"split": "test", "rows": 2, "metrics": {"accuracy": 0.5}}, "pictures": {"a.png": "A"}}'
    report = Report.model_validate_json(stored)
    assert report == Report(
        evaluation=Evaluation(split="test", rows=2, metrics={"accuracy": 0.5}), pictures={"a.png": "A"}
    )
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="plots"):
        Report.model_validate({"evaluation": {"split": "test", "rows": 2, "metrics": {}}, "plots": {}})
