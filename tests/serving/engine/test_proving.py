"""Rows share a run only where that was proved, published, or vouched for."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from inference.processors import build_processor
from inference.proving.independence import BatchProof
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.bundle import Bundle
from inference.store.located import Located
from serving.engine import proving
from serving.engine.example import Example, find_example
from serving.engine.proving import NOT_YET, Prover
from tests.bundles import graph_bytes, sum_graph, write_bare, write_brightness
from tests.inference.proving.test_independence import CASES
from tests.serving.graphs import identity_graph


def prover(folder: Path, *, trusted: bool = False) -> tuple[Prover, OrtSession, Example]:
    bundle = Bundle.open(Located.at(folder), SessionOptions())
    processor = build_processor(bundle)
    session = bundle.session or bundle.load()
    return Prover(bundle, processor, trusted=trusted), session, find_example(bundle, processor, session)


def test_rows_that_do_not_meet_are_a_batch(tmp_path: Path) -> None:
    one, session, example = prover(write_bare(tmp_path, "sum", sum_graph()))
    proof = one.prove(session, example)
    assert proof is not None
    assert proof.batched
    assert one.limit(proof) == 64
    assert one.must_confirm
    assert one.confirm(session, example, 16).batched


def test_rows_that_come_out_in_another_number_stay_apart_unless_the_operator_vouches(tmp_path: Path) -> None:
    folder = write_bare(tmp_path, "found", graph_bytes(*CASES["places of what is positive"][:4]))
    one, session, example = prover(folder)
    proof = one.prove(session, example)
    assert proof is not None
    assert not proof.batched
    assert proof.reason
    assert one.limit(proof) == 0
    trusting, *_ = prover(folder, trusted=True)
    assert trusting.prove(session, example) == BatchProof(batched=True)
    assert not trusting.must_confirm


def test_a_fixed_first_axis_is_named_and_costs_no_run(tmp_path: Path) -> None:
    folder = write_bare(tmp_path, "whole", identity_graph(TensorProto.FLOAT, 2, 3))
    one, session, example = prover(folder, trusted=True)
    proof = one.prove(session, example)
    assert proof == BatchProof(
        batched=False, reason="the first axis of input x is fixed: its shape is [2, 3]"
    )
    assert one.is_quick(run_s=99.0, budget_s=0.0), "nothing is run for it"


def test_a_bundle_with_one_example_rests_on_its_publishers_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, session, example = prover(write_brightness(tmp_path))
    assert not one.must_confirm
    proved = one.prove(session, example)
    assert proved is not None
    assert proved.batched
    monkeypatch.setattr(proving, "prove", None)
    assert one.prove(session, Example(example.payloads[:1], example.rows[:1])) is None
    assert one.limit(None) == 16


def test_a_proof_is_quick_if_thirty_runs_fit_the_budget(tmp_path: Path) -> None:
    one, *_ = prover(write_bare(tmp_path, "sum", sum_graph()))
    assert one.is_quick(run_s=0.01, budget_s=0.31)
    assert not one.is_quick(run_s=0.01, budget_s=0.29)
    assert one.limit(NOT_YET) == 0


def test_a_graph_that_takes_two_rows_at_least_has_no_row_alone(tmp_path: Path) -> None:
    one, session, _ = prover(write_bare(tmp_path, "sum", sum_graph()))
    pair = {name: np.ones((2, 3), np.float32) for name in "xy"}
    proof = one.prove(session, Example((), (pair,)))
    assert proof == BatchProof(batched=False, reason="the graph does not run one row alone")
