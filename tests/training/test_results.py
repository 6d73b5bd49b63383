"""The record: figures come from bundles, the table from the record, and help shows both cost and score."""

import shutil
from pathlib import Path

import pytest

from inference.store.bundle import Bundle
from tests.bundles import shipped
from training.__main__ import usage
from training.architectures.registry import find_architecture
from training.results import (
    RESULTS_FILE,
    TABLE_FILE,
    main,
    read_results,
    record,
    render,
    summary,
    with_result,
)

FASHION = shipped("fashion")


def test_the_table_is_made_from_the_record() -> None:
    assert TABLE_FILE.read_text(encoding="utf-8") == render(read_results())


@pytest.mark.parametrize("result", read_results(), ids=lambda one: f"{one.data}-{one.arch}")
def test_every_result_names_its_source_and_says_why_where_it_missed(result: object) -> None:
    from training.results import Result

    assert isinstance(result, Result)
    find_architecture(result.task, result.arch)
    assert result.source
    assert result.note or result.ours >= result.target


def test_help_shows_cost_and_score_of_what_was_measured() -> None:
    text = usage()
    for result in read_results():
        assert f"{result.data} {result.metric} {result.ours:.4f}" in text
        assert f"{result.parameters / 1e6:.2f} M parameters" in text


def test_a_result_is_what_the_manifest_of_the_bundle_says() -> None:
    manifest = Bundle.open(FASHION).manifest
    evaluation, made = manifest.graphs["fp32"].evaluation, manifest.provenance
    assert evaluation is not None
    assert made is not None
    result = record(FASHION, 0.949, "their table", None, "")
    assert result.ours == pytest.approx(evaluation.metrics["accuracy"], abs=5e-5)
    assert (result.seed, result.command, result.rows) == (made.seed, made.command, 10_000)
    # 3×3 stem on 28×28: 2·9·32 operations a pixel are a lower bound for the whole.
    assert result.mflops is not None
    assert 2 * 9 * 32 * 28 * 28 / 1e6 < result.mflops < 500


def test_a_new_measurement_takes_the_place_of_the_old() -> None:
    old = record(FASHION, 0.949, "their table", None, "")
    new = old.model_copy(update={"ours": 0.9})
    other = old.model_copy(update={"data": "mnist"})
    assert with_result((old, other), new) == (new, other)
    assert "0.9000 (missed)" in render((new,))
    assert summary((other,), "cnn") == ""


def test_the_command_writes_record_and_table(tmp_path: Path) -> None:
    files = {"results": tmp_path / "results.json", "table": tmp_path / "RESULTS.md"}
    shutil.copy(RESULTS_FILE, files["results"])
    arguments = ("record", str(FASHION), "--published", "0.5", "--source", "nobody", "--note", "for a test")
    assert main(arguments, files) == 0
    assert "nobody. for a test" in files["table"].read_text()
    assert main(("record", str(tmp_path), "--published", "1", "--source", "x"), files) == 1
