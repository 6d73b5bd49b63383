"""The recommenders compute what they say, in PyTorch and in ONNX Runtime, whatever the padding."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.predictor import Predictor
from inference.runtime.session import OrtSession
from inference.values import Payload
from training.architectures import matrix_factorisation, neumf, sasrec, two_towers
from training.config import TrainConfig, load_config
from training.data.examples import Loader
from training.data.histories import Held, Spans
from training.data.interactions import make_log
from training.data.recommendation import _pairs
from training.errors import ConfigError
from training.evaluate.baselines import ItemNeighbours, Popularity, Repetition
from training.fit.optim import head_names
from training.fit.train import FitResult, fit, load_data
from training.pipeline import train
from training.release.export import export
from training.run import open_run
from training.tasks.losses import basket_loss, dense_logistic_loss
from training.tasks.recommendation import RecommendationTask, ScoresGraph

ITEMS, LENGTH, USERS = 12, 8, 9
TITLES = tuple(f"{colour} cup" for colour in ("red", "blue", "red", "old") * 3)

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "sasrec": lambda: sasrec.build(ITEMS, LENGTH, width=8, heads=2),
    "two-towers": lambda: two_towers.build(ITEMS, LENGTH, TITLES, width=8),
    "two-towers without titles": lambda: two_towers.build(ITEMS, LENGTH, width=8, repeat=False),
    "mf": lambda: matrix_factorisation.build(USERS, ITEMS, width=4),
    "neumf": lambda: neumf.build(USERS, ITEMS, width=4, layers=(8, 4, 2)),
}


def made(name: str) -> nn.Module:
    """A model with every weight drawn, so that no zero hides a mistake."""
    torch.manual_seed(0)
    model = BUILDERS[name]().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter.detach(), std=0.5)
    return model


def histories(lengths: list[int], width: int) -> Tensor:
    rng = np.random.default_rng(sum(lengths))
    rows = [[0] * (width - n) + rng.integers(1, ITEMS + 1, n).tolist() for n in lengths]
    return torch.tensor(rows)


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


def test_no_state_of_sasrec_sees_what_comes_after_it() -> None:
    model = made("sasrec")
    assert isinstance(model, sasrec.SASRec)
    first, second = histories([6], 6), histories([6], 6)
    second[0, 4:] = 13 - second[0, 4:]
    torch.testing.assert_close(model.states(first)[:, :4], model.states(second)[:, :4])
    assert not torch.allclose(model.states(first)[:, 4], model.states(second)[:, 4])


def test_buying_again_weighs_each_purchase_by_its_recency() -> None:
    model = made("two-towers")
    assert isinstance(model, two_towers.TwoTowers)
    history = torch.tensor([[0, 3, 5, 3]])
    with_term = model(history)
    model.repeats = False
    added = (with_term - model(history))[0]
    again = model.again[LENGTH - 4 :]
    expected = torch.zeros(ITEMS)
    expected[2], expected[4] = again[1] + again[3], again[2]
    torch.testing.assert_close(added, expected)


def test_words_of_one_title_only_are_left_out() -> None:
    table = two_towers.title_words(["red cup", "Blue cup", "red red pot"])
    assert table.tolist() == [[0, 0], [1, 2], [1, 0], [2, 0]]


def test_sampled_softmax_over_many_draws_is_the_full_softmax() -> None:
    torch.manual_seed(0)
    full = sasrec.build(2000, LENGTH, width=8)
    assert isinstance(full, sasrec.SASRec)
    states, expected = 0.3 * torch.randn(50, 8), torch.randint(1, 2001, (50,))
    whole = full.loss(states, expected)
    full.sampled = 1500
    assert full.loss(states, expected).item() == pytest.approx(whole.item(), abs=0.02)


def test_neumf_scores_a_pair_as_it_scores_the_catalogue() -> None:
    model = made("neumf")
    assert isinstance(model, neumf.NeuMF)
    user, item = torch.tensor([0, 3, 8]), torch.tensor([1, 12, 5])
    torch.testing.assert_close(model.pairs(user, item), model(user)[torch.arange(3), item - 1])


def test_basket_loss_is_the_mean_log_probability_of_the_basket() -> None:
    scores, target = torch.randn(2, 5), torch.tensor([[1, 4, 0], [2, 0, 0]])
    logs = scores.log_softmax(1)
    expected = -((logs[0, 0] + logs[0, 3]) / 2 + logs[1, 1]) / 2
    torch.testing.assert_close(basket_loss(scores, target), expected)


def test_dense_logistic_loss_is_what_drawing_negatives_estimates() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, liked = torch.randn(1, 20, generator=generator), torch.tensor([[2, 7, 9, 0]])
    unseen = [column for column in range(20) if column not in (1, 6, 8)]
    draws = torch.tensor(unseen)[torch.randint(0, 17, (4000, 3 * 5), generator=generator)]
    positive = nn.functional.softplus(-scores[0, [1, 6, 8]]).sum()
    sampled = positive + nn.functional.softplus(scores[0][draws]).sum(1).mean()
    torch.testing.assert_close(dense_logistic_loss(scores, liked, 5), sampled, rtol=0.02, atol=0.0)


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


LOSSES = {"two-towers": 3.84457, "sasrec": 3.89612, "mf": 0.372052, "neumf": 0.617540}


@pytest.mark.parametrize("arch", LOSSES)
def test_a_seeded_short_run_has_the_recorded_loss(tmp_path: Path, arch: str) -> None:
    config = shop_config(tmp_path, "--arch", arch, "--seed", "5")
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
    predictor = Predictor.open(train(shop_config(tmp_path, "--arch", arch, "--epochs", "1")))
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


# NeuMF from a factorisation


def started() -> tuple[matrix_factorisation.MatrixFactorisation, neumf.NeuMF]:
    """A factorisation, and a NeuMF that began as it."""
    source = made("mf")
    model = neumf.build(USERS, ITEMS, width=4 + neumf.BIASES, layers=(8, 4, 2)).eval()
    assert isinstance(source, matrix_factorisation.MatrixFactorisation)
    assert isinstance(model, neumf.NeuMF)
    model.begin_as(source.state_dict())
    return source, model


def test_neumf_begins_as_the_factorisation_that_it_starts_from() -> None:
    source, model = started()
    torch.testing.assert_close(model(torch.arange(USERS)), source(torch.arange(USERS)))
    user, item = torch.tensor([0, 4, 2]), torch.tensor([1, ITEMS, 3])
    torch.testing.assert_close(model.pairs(user, item), source(user)[torch.arange(3), item - 1])


def test_neumf_learns_with_its_perceptron_what_a_factorisation_left() -> None:
    _, model = started()
    assert head_names(model) | set(model.body) == {name for name, _ in model.named_parameters()}
    assert head_names(model).isdisjoint(model.body)
    torch.autograd.backward(model.pairs(torch.tensor([0, 4, 2]), torch.tensor([1, ITEMS, 3])).sum())
    assert model.out.weight.grad is not None
    assert model.out.weight.grad[0, 4 + neumf.BIASES :].abs().sum() > 0


def recommender(tmp_path: Path, arch: str, *flags: str) -> FitResult:
    """One epoch on the embedded shop."""
    fixed = ("--batch-size", "64", "--epochs", "1", "--no-progress",
             "--threads", "1", "--precision", "32-true")  # fmt: skip
    run = tmp_path / f"{arch}{len(list(tmp_path.iterdir()))}"
    config = load_config("recommendation", ["--arch", arch, "--run", str(run), *fixed, *flags])
    files = open_run(config)
    return fit(config, files, load_data(config, files))


MF = ("--model", '{"width": 4}', "--learning-rate", "0.05")


@pytest.fixture(scope="module")
def factorised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult]:
    """The run of a factorisation that others start from, and what came of it."""
    root = tmp_path_factory.mktemp("factorised")
    return root / "mf0", recommender(root, "mf", *MF)


NEUMF = ("--model", '{"width": 6, "layers": [8, 4, 2]}', "--learning-rate", "1e-7")


@pytest.mark.slow
def test_a_run_of_neumf_goes_on_from_one_of_mf(factorised: tuple[Path, FitResult], tmp_path: Path) -> None:
    run, source = factorised
    went_on = recommender(tmp_path, "neumf", "--init-from", str(run), *NEUMF)
    assert went_on.score == pytest.approx(source.score, abs=1e-3)
    new = recommender(tmp_path, "neumf", *NEUMF)
    assert new.score != pytest.approx(source.score, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seed", "1"), "has held out other events; expected the same data, --seed and --validation"),
        (("--model", '{"width": 4, "layers": [8, 4, 2]}'), "of width 2, which is neumf's less 2"),
        (("--init-from", "models/retail"), "is no run, which alone says what it has held out"),
        (("--arch", "sasrec"), "vision, text and neumf only"),
    ],
)
def test_what_neumf_cannot_start_from_is_refused(
    factorised: tuple[Path, FitResult], tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    model = () if "sasrec" in flags else NEUMF
    with pytest.raises(ConfigError, match=said):
        recommender(tmp_path, "neumf", "--init-from", str(factorised[0]), *model, *flags)


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
