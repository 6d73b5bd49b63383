"""The recommenders compute what they say, in PyTorch and in ONNX Runtime, whatever the padding."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from inference.predictor import Predictor
from inference.runtime.session import OrtSession
from inference.values import Payload
from tests.training.architectures.recommenders import ITEMS, LENGTH, histories, made
from training.config import TrainConfig, load_config
from training.data.examples import Loader
from training.data.histories import Held, Spans
from training.data.interactions import make_log
from training.data.recommendation import _pairs
from training.evaluate.baselines import ItemNeighbours, Popularity, Repetition
from training.pipeline import train
from training.release.export import export
from training.tasks.recommendation import RecommendationTask, ScoresGraph


@pytest.fixture(scope="module", params=["sasrec", "neumf"])  # the pipeline proves the others below
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Path]:
    model = made(request.param)
    graph = ScoresGraph(model)
    target = tmp_path_factory.mktemp("graph") / "model.onnx"
    if request.param == "neumf":
        export(graph, {"user": torch.tensor([1, 2])}, ["scores"], target)
    else:
        export(graph, {"history": histories([3, 2], 3)}, ["scores"], target, {"history": {1: "length"}})
    return model, target


@pytest.mark.slow
def test_onnx_runtime_gives_the_scores_of_pytorch(exported: tuple[nn.Module, Path]) -> None:
    model, target = exported
    session = OrtSession(target, target)
    (name,) = [spec.name for spec in session.inputs]
    batches = [torch.arange(n) for n in (1, 5)] if name == "user" else [
        histories([1], 1), histories([8, 3, 1], 8), histories([0, 2], 4)
    ]  # fmt: skip
    for batch in batches:
        with torch.inference_mode():
            expected = model(batch).numpy()
        seen = session.run({name: batch.numpy()})["scores"]
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)
        assert seen.shape == (len(batch), ITEMS)


@pytest.mark.parametrize("name", ["sasrec", "two-towers", "two-towers without titles"])
def test_padding_on_the_left_changes_nothing(name: str) -> None:
    model = made(name)
    for length in (1, 3):
        short = histories([length, length], length)
        padded = nn.functional.pad(short, (LENGTH - length, 0))
        torch.testing.assert_close(model(padded), model(short))


def held(rows: list[list[int]]) -> Held:
    values = torch.tensor([item for row in rows for item in row])
    ends = torch.tensor(np.cumsum([0, *map(len, rows)]))
    spans = Spans(values, ends[:-1], ends[1:])
    ids = tuple(range(1, 5))
    return Held(torch.arange(len(rows)), spans, spans, 5, False, False, ids, ids)


def test_baselines_agree_with_counting_by_hand() -> None:
    log = make_log([0, 0, 0, 1, 1, 2], [1, 2, 3, 1, 2, 1], [0, 1, 2, 0, 1, 0])
    asked, rows = held([[2, 3], [3, 4, 3]]), torch.tensor([0, 1])
    assert Popularity(log, 4).scores(asked, rows)[0].tolist() == [3, 2, 1, 0]
    knn = ItemNeighbours(log, 4, 10).scores(asked, rows)
    alike = {(1, 2): 2 / 6**0.5, (1, 3): 1 / 3**0.5, (2, 3): 1 / 2**0.5}
    expected = [alike[1, 2] + alike[1, 3], 1 + alike[2, 3], 1 + alike[2, 3], 0]
    torch.testing.assert_close(knn[0], torch.tensor(expected), atol=1e-5, rtol=0)
    again = Repetition(log, 4).scores(asked, rows)
    assert again[1].argsort(descending=True).tolist() == [2, 3, 0, 1]


def shop_config(tmp_path: Path, *flags: str) -> TrainConfig:
    paths = ["--run", str(tmp_path / "run"), "--models", str(tmp_path / "models")]
    return load_config("recommendation", ["--data", "shop", "--no-progress", *paths, *flags])


MODELS = {"neumf": {"l2": 0.0, "spread": 0.01}}
LOSSES = {"two-towers": 3.84457, "sasrec": 3.89612, "mf": 0.372052, "neumf": 0.617540}


@pytest.mark.slow
@pytest.mark.parametrize("arch", LOSSES)
def test_a_seeded_short_run_has_the_recorded_loss(tmp_path: Path, arch: str) -> None:
    pinned = ("--validation", "0.1", "--model", json.dumps(MODELS.get(arch, {})))
    config = shop_config(tmp_path, "--arch", arch, "--seed", "5", *pinned)
    task = RecommendationTask()
    data = task.load(config)
    torch.manual_seed(config.seed)
    model = task.build(config, data)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    loader = Loader(data.train, 128, seed=config.seed, training=True)
    for _, batch in zip(range(6), loader, strict=False):
        loss = task.loss(model, batch, config, data.facts)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() == pytest.approx(LOSSES[arch], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["two-towers", "mf"])
def test_one_command_makes_a_bundle_that_answers(tmp_path: Path, arch: str) -> None:
    predictor = Predictor.open(train(shop_config(tmp_path, "--arch", arch, "--epochs", "1", "--force")))
    by_user = arch == "mf"
    instance = {"user": "C0007", "k": 3} if by_user else {"history": ["P001", "no such"], "k": 3}
    (answer,) = predictor.predict([Payload(instance)])
    assert len(answer["items"]) == 3
    assert answer["items"][0]["title"]
    assert by_user or (answer["known"], answer["unknown"]) == (1, ["no such"])
    evaluation = predictor.bundle.manifest.graphs["fp32"].evaluation
    assert evaluation is not None
    assert {"ndcg@10", "popularity: ndcg@10", "margin over item_knn: ndcg@10, 95% low"} <= set(
        evaluation.metrics
    )


# Drawn pairs


def test_what_a_user_does_not_have_is_drawn_evenly() -> None:
    """Also right behind what they have, and for who has nearly everything."""
    has = {0: [1, 2, 3, 7], 1: list(range(1, ITEMS))}
    pairs = [(user, item) for user, items in has.items() for item in items]
    user, item = np.array(pairs).T
    log = make_log(user, item, np.arange(len(pairs)))
    drawn = _pairs(log, ITEMS, negatives=1000)
    batch = drawn.batch(torch.arange(len(pairs)), torch.Generator().manual_seed(0))
    negative = batch["label"] == 0
    assert int(negative.sum()) == 1000 * len(pairs)
    for who, items in has.items():
        free = ITEMS - len(items)
        counts = torch.bincount(batch["item"][negative & (batch["user"] == who)], minlength=ITEMS + 1)[1:]
        assert (counts[torch.tensor(items) - 1] == 0).all()
        share = counts[counts > 0] / counts.sum()
        assert len(share) == free
        torch.testing.assert_close(share, torch.full((free,), 1 / free), atol=0.02, rtol=0)
