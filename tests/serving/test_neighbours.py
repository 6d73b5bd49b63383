"""Clients at the same moment get what each gets alone, whatever the graph does with the rows of a run.

The other side is ONNX Runtime itself, asked for one request after the other.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from inference.proving.independence import BatchProof
from inference.values import Array, Tensors
from serving.engine import proving
from tests.bundles import write_bare
from tests.serving.neighbours import CASES, MIND, RANDOM, RARE, ROUNDING, WELL, Case
from tests.serving.parallel_clients import parallel_clients, same
from tests.serving.servers import ThreadedServer, start

CLIENTS = 16
ROUNDS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("models")
    for case in CASES:
        write_bare(root, case.name, case.graph)
    with start(models=root) as running:
        yield running


def alone(case: Case) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(case.graph, options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, tensors: Tensors) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, tensors), strict=True))


def rounds(case: Case) -> Iterator[list[Tensors]]:
    """What the clients ask at once, again and again: one row each, then some more than one."""
    rng = np.random.default_rng(13)
    for turn in range(ROUNDS):
        yield [case.ask(rng, 1 + (client % 3 if turn % 2 else 0)) for client in range(CLIENTS)]


def wrong_answers(server: ThreadedServer, case: Case, rtol: float) -> int:
    """How many of all the answers are not what their request gets alone."""
    session, wrong = alone(case), 0
    with parallel_clients(server.url, CLIENTS) as asking:
        for requests in rounds(case):
            answers = asking.ask(case.name, requests)
            expected = (run(session, request) for request in requests)
            wrong += sum(not same(*pair, rtol) for pair in zip(answers, expected, strict=True))
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("case", MIND, ids=lambda case: case.name)
def test_rows_that_mind_their_company_have_none(server: ThreadedServer, case: Case) -> None:
    assert wrong_answers(server, case, rtol=ROUNDING if case.placed else 0.0) == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", RARE, ids=lambda case: case.name)
def test_rows_that_mind_what_is_rare_have_no_company(server: ThreadedServer, case: Case) -> None:
    assert wrong_answers(server, case, rtol=0.0) == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", WELL, ids=lambda case: case.name)
def test_rows_that_mix_well_are_answered_as_alone_but_for_rounding(
    server: ThreadedServer, case: Case
) -> None:
    assert wrong_answers(server, case, ROUNDING) == 0


@pytest.mark.slow
def test_those_of_different_clients_do_share_runs(server: ThreadedServer) -> None:
    with parallel_clients(server.url, 1) as asking:
        assert [case.name for case in WELL if not asking.batches(case.name)] == []
        # What no trial happened to hold, a word that is left out, is found by the first run that gives too few rows.
        mind = [case.name for case in (*MIND, *RANDOM) if asking.batches(case.name)]
        assert set(mind) <= {"stop-words"}


@pytest.mark.slow
@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case.name)
def test_chance_has_the_form_of_what_was_asked(server: ThreadedServer, case: Case) -> None:
    with parallel_clients(server.url, CLIENTS) as asking:
        for requests in rounds(case):
            for request, answer in zip(requests, asking.ask(case.name, requests), strict=True):
                assert answer["y"].shape == request["x"].shape


@pytest.mark.slow
def test_without_the_proof_clients_get_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    believed = BatchProof(batched=True)
    monkeypatch.setattr(proving, "prove", lambda *_: believed)
    monkeypatch.setattr(proving, "confirm", lambda *_: believed)
    monkeypatch.setattr(proving, "mixes_by_design", lambda _: "")
    spoilt = [case for case in MIND if case.name in {"share", "running-sum", "dynamic-int8", "backwards"}]
    for case in spoilt:
        write_bare(tmp_path, case.name, case.graph)
    with start(models=tmp_path) as server:
        assert all(wrong_answers(server, case, ROUNDING) for case in spoilt)
