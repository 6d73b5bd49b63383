"""What a model is measured with: its golden inputs, or rows that its graph was found to take."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from inference.processors import build_processor
from inference.runtime.session import SessionOptions
from inference.store.bundle import Bundle
from inference.store.located import Located
from inference.values import Payload
from serving.engine.example import Example, find_example
from tests.bundles import png, sum_graph, write_bare, write_brightness
from tests.serving.graphs import identity_graph


def found(folder: Path) -> tuple[Bundle, Example]:
    options = SessionOptions()
    bundle = Bundle.open(Located.at(folder), options)
    session = bundle.session or bundle.load(options=options)
    return bundle, find_example(bundle, build_processor(bundle), session)


def test_a_bundle_is_measured_with_its_golden_inputs_row_by_row(tmp_path: Path) -> None:
    _, example = found(write_brightness(tmp_path))
    assert len(example.payloads) == len(example.rows) == 4
    assert all(row["image"].shape == (1, 4, 4, 1) for row in example.rows)
    assert example.batch(6)["image"].shape == (6, 4, 4, 1)
    levels = example.batch(6)["image"][:, 0, 0, 0].tolist()
    assert levels == [0, 90, 160, 255, 0, 90]


def test_a_graph_alone_is_measured_with_rows_that_it_takes(tmp_path: Path) -> None:
    _, example = found(write_bare(tmp_path, "sum", sum_graph()))
    assert example.payloads == ()
    assert {name: array.shape for name, array in example.rows[0].items()} == {"x": (1, 3), "y": (1, 3)}
    assert example.batch(1) is example.rows[0]


def test_a_sample_request_beside_a_graph_is_its_example(tmp_path: Path) -> None:
    folder = write_bare(tmp_path, "whole", identity_graph(TensorProto.FLOAT, "batch", "length"))
    (tmp_path / "whole/config.pbtxt").write_text(
        """
        max_batch_size: 4
        input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]
        output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
        model_warmup [ { name: "w" batch_size: 1 inputs {
            key: "x" value { data_type: TYPE_FP32 dims: [ 7 ] zero_data: true } } } ]
        """
    )
    _, example = found(folder)
    assert example.rows[0]["x"].shape == (1, 7)


def test_only_quick_payloads_are_prepared_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, example = found(write_brightness(tmp_path))
    processor = build_processor(bundle)
    monkeypatch.setattr("serving.engine.example.seconds_taken", lambda _: 4 * 0.29e-3)
    assert example.inline_bytes(processor) == 2 * max(len(png(level)) for level in (0, 90, 160, 255))
    monkeypatch.setattr("serving.engine.example.seconds_taken", lambda _: 4 * 0.31e-3)
    assert example.inline_bytes(processor) == 0
    assert Example((), example.rows).inline_bytes(processor) == 0


def test_company_of_another_size_is_left_out_of_batches_that_are_timed() -> None:
    rows = tuple({"x": np.full((1, 2), place, np.float32)} for place in range(5))
    assert Example((), rows).batch(4)["x"][:, 0].tolist() == [0, 1, 2, 0]
    golden = tuple(Payload(b"", "image/png") for _ in rows)
    assert Example(golden, rows).batch(6)["x"][:, 0].tolist() == [0, 1, 2, 3, 4, 0]
