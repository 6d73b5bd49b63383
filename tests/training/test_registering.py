"""A recommender and a task that this file alone brings are trained to a proved bundle, and known everywhere."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from PIL import Image
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import ImageConfig
from inference.manifest import DataSource, TaskName
from inference.predictor import Predictor
from inference.processors.base import StackingProcessor
from inference.processors.classification import LABELS_FILE
from inference.store.bundle import Bundle
from inference.values import Payload, Tensors
from tests.training.fixed import ALIKE
from training.__main__ import help_of, main, usage
from training.architectures import registry as architectures
from training.architectures.base import CatalogueSpec, LogStatistics, Network, Recommender
from training.architectures.classifier import ClassifierGraph
from training.architectures.record import Architecture
from training.config import TrainConfig, load_config, make_config
from training.data.examples import Batch
from training.data.splits import stratified_holdout
from training.data.vision import Images, load_images
from training.errors import ConfigError, DataError
from training.evaluate.calibrate import Calibrated
from training.evaluate.report import Report
from training.lineage import kind_of
from training.results import record, render, summary
from training.tasks import classification
from training.tasks import registry as tasks
from training.tasks.base import Monitor, TaskData, TaskOf
from training.tasks.classification import ClassFacts

FIXED = ("--seed", "5", "--precision", "32-true", *ALIKE)


def published(root: Path, task: str, *flags: str) -> Path:
    """Trained by the command line; the bundle's folder."""
    folders = ("--models", str(root / "models"), "--run", str(root / "run"), "--quantize", "off")
    assert main(["train", task, *FIXED, *folders, *flags]) == 0
    return next((root / "models").glob("*/1"))


# A recommender: an MLP on the mean of the history, with a loss and a graph of its own


class HistoryMean(Recommender):
    """The vectors of the history, their mean, an MLP, and its product with every item's vector."""

    asked: ClassVar[set[str]] = set()
    """The methods of its own that were called: with those of the base it would be trained as well."""

    def __init__(self, catalogue: CatalogueSpec, width: int) -> None:
        super().__init__()
        self.item = nn.Embedding(catalogue.items + 1, width, padding_idx=0)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.prior = nn.Parameter(torch.zeros(catalogue.items))

    def forward(self, history: Tensor) -> Tensor:
        count = (history != 0).sum(1, keepdim=True).clamp(min=1)
        return F.linear(self.mlp(self.item(history).sum(1) / count), self.item.weight[1:], self.prior)

    def loss(self, batch: Mapping[str, Tensor], log: LogStatistics) -> Tensor:
        """As of any basket, with a pull of the prior towards how popular items are."""
        self.asked.add("loss")
        return super().loss(batch, log) + 1e-3 * (self.prior - log.popularity.log1p()).square().mean()

    def deployed(self) -> nn.Module:
        """The same function, in a network of its own."""
        self.asked.add("deployed")
        graph = HistoryMean(CatalogueSpec(items=len(self.prior)), self.item.embedding_dim)
        graph.load_state_dict(self.state_dict())
        return graph


def build_history_mean(catalogue: CatalogueSpec, *, width: int = 8) -> HistoryMean:
    return HistoryMean(catalogue, width)


HISTORY_MEAN = Architecture(
    "history-mean",
    "recommendation",
    build_history_mean,
    "an MLP on the mean of the history",
    "nobody 2026",
    example_kind="baskets",
    settings={"epochs": 2, "batch_size": 64, "learning_rate": 0.02},
)


@pytest.mark.slow
def test_a_recommender_from_outside_is_trained_and_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with architectures.registered(HISTORY_MEAN):
        flags = ("--data", "shop", "--arch", "history-mean", "--model", '{"width": 16}')
        bundle = published(tmp_path, "recommendation", "--force", *flags)
        assert HistoryMean.asked == {"loss", "deployed"}
        assert "published" in capsys.readouterr().out
        assert f"  {'history-mean':16} an MLP on the mean of the history\n" in help_of("recommendation")
        assert '--model options: {"width": 8}' in usage()
        result = record(bundle, 0.1, "nobody", None, "")
        assert summary((result,), "history-mean").startswith("shop ndcg@10 ")
    predictor = Predictor.open(bundle)  # which replays the golden examples
    (answer,) = predictor.predict([Payload({"history": ["P001", "P002"], "k": 3})])
    assert len(answer["items"]) == 3
    manifest = predictor.bundle.manifest
    assert (manifest.architecture, manifest.task) == ("history-mean", "recommendation")
    assert manifest.provenance is not None
    assert manifest.provenance.epochs == 2, "the architecture's own setting"
    evaluation = manifest.graphs["fp32"].evaluation
    assert evaluation is not None
    assert evaluation.metrics["ndcg@10"] > 0.5 * evaluation.metrics["popularity: ndcg@10"]
    assert manifest.graphs["fp32"].company is not None


# A task: whether a digit is odd, with a record of facts and a network of its own, served as images are


@dataclass(frozen=True)
class ParityFacts(ClassFacts):
    """pixels: of an image."""

    pixels: int


@dataclass(frozen=True)
class ParityData(TaskData[Images]):
    """Digits, labelled 0 where they are even."""

    facts: ParityFacts


class PixelSum(Network):
    """Every pixel has a weight: uint8 [n, H, W, C] → logits float32 [n, 2]."""

    def __init__(self, pixels: int, scale: float) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(pixels, 32), nn.Linear(32, 2)
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(image.flatten(1).float() * self.scale).relu())
        return logits


def build_pixel_sum(pixels: int, *, scale: float = 1 / 255) -> PixelSum:
    return PixelSum(pixels, scale)


PIXELS = Architecture(
    "pixels",
    "parity",
    build_pixel_sum,
    "two linear layers",
    "nobody 2026",
    embedded="digits",
    settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.01},
)


class ParityTask(TaskOf[ParityData, ParityFacts, PixelSum]):
    name = "parity"
    manifest_task: TaskName = "vision"
    monitor = Monitor("accuracy", "max")
    outputs: tuple[str, ...] = ("probabilities", "logits")
    settings = frozenset({"background"})

    def load(self, config: TrainConfig) -> ParityData:
        if config.data != "digits":
            raise DataError(f"--data {config.data!r}: parity is of digits alone")
        images = load_images("digits", self._config(8, config), strict=False)
        held = stratified_holdout(images.train.labels.numpy() % 2, 200, config.seed)
        train, validation, test = (
            Images(part.pixels, part.labels % 2)
            for part in (images.train.take(held.train), images.train.take(held.held), images.test)
        )
        rows = {"train": len(train), "validation": len(validation), "test": len(test)}
        source = DataSource(name="digits", url=None, licence="CC BY 4.0", digest=images.digest, rows=rows)
        counts = tuple(train.labels.bincount(minlength=2).tolist())
        facts = ParityFacts(("even", "odd"), counts, train.pixels[0].numel())
        return ParityData(train, validation, test, held, source, facts)

    def build(self, config: TrainConfig, data: ParityData) -> PixelSum:
        model: PixelSum = architectures.find_architecture(self.name, config.arch).build(
            data.facts.pixels, **config.model
        )
        return model

    def loss(self, model: PixelSum, batch: Batch, config: TrainConfig, facts: ParityFacts) -> Tensor:
        return classification.loss(model(batch["image"]), batch, config, facts)

    def metrics(self, facts: ParityFacts) -> MetricCollection:
        return classification.metrics(facts)

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        logits = model(batch["image"])
        metrics.update(logits, batch["label"])
        return F.cross_entropy(logits, batch["label"])

    def inputs(self, batch: Batch) -> Batch:
        return {"image": batch["image"]}

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        return StackingProcessor().collate(parts)

    def strangers(self, data: ParityData) -> list[Tensors]:
        return [{"image": np.full((1, 8, 8, 1), grey, np.uint8)} for grey in (0, 255)]

    def deployed(self, model: PixelSum, calibrated: Calibrated) -> nn.Module:
        return ClassifierGraph(model.deployed(), calibrated.temperature)

    def processor(self, config: TrainConfig, data: ParityData) -> ImageConfig:
        return self._config(8, config)

    def files(self, data: ParityData) -> Mapping[str, bytes]:
        return {LABELS_FILE: json.dumps(data.facts.classes).encode()}

    def payload(self, examples: Images, row: int) -> Payload:
        stream = io.BytesIO()
        Image.fromarray(examples.pixels[row, :, :, 0].numpy()).save(stream, "PNG")
        return Payload(stream.getvalue(), "image/png")

    def golden_rows(self, data: ParityData) -> list[int]:
        return [0, 1, 2]

    def evaluate(self, predictor: Predictor, data: ParityData, calibrated: Calibrated, plots: Path) -> Report:
        payloads = [self.payload(data.test, row) for row in range(len(data.test))]
        return classification.evaluate(
            predictor, payloads, data.test.labels, data.facts.classes, calibrated, plots
        )

    def _config(self, side: int, config: TrainConfig) -> ImageConfig:
        return ImageConfig(
            kind="image", height=side, width=side, mode="L", fit="stretch", interpolation="bilinear",
            background=config.background, max_pixels=10_000,
        )  # fmt: skip


@pytest.fixture
def parity() -> Iterator[None]:
    with architectures.registered(PIXELS), tasks.registered(ParityTask()):
        yield


@pytest.mark.slow
def test_a_task_from_outside_is_trained_and_published(parity: None, tmp_path: Path) -> None:
    bundle = published(tmp_path, "parity", "--background", "0")
    predictor = Predictor.open(bundle)
    task, config = tasks.find_task("parity"), load_config("parity")
    test = task.load(config).test
    answers = predictor.predict([task.payload(test, row) for row in range(50)])
    right = [answer["label"] == ("even", "odd")[int(test.labels[row])] for row, answer in enumerate(answers)]
    assert np.mean(right) > 0.8
    manifest = predictor.bundle.manifest
    assert (manifest.task, manifest.architecture) == ("vision", "pixels")
    assert isinstance(manifest.processor, ImageConfig)
    assert manifest.processor.background == 0
    evaluation = manifest.graphs["fp32"].evaluation
    assert evaluation is not None
    assert evaluation.robustness == {}, "its test rows are images, but it has no corruptions of them"
    assert manifest.conformal is None, "it calibrates nothing"
    kind = kind_of(bundle)
    assert kind is not None
    assert (kind.task, kind.arch) == ("parity", "pixels")
    result = record(bundle, 0.5, "a coin", None, "")
    assert (result.task, result.arch, result.metric) == ("parity", "pixels", "accuracy")
    assert "## Parity\n" in render((result,))


def test_the_help_of_a_task_from_outside_lists_what_is_its_own(parity: None) -> None:
    assert "parity: architectures (`baton train parity` alone trains pixels on digits)\n" in usage()
    told = help_of("parity")
    assert '--model options: {"scale": 0.00392' in told
    assert "  --background VALUE (255)\n" in told
    assert "  --epochs VALUE (20)\n" in told
    for of_another in ("--crop", "--vocabulary", "--history", "--teacher "):
        assert of_another not in told
    assert "two linear layers" not in help_of("vision")


def test_the_faults_of_a_task_from_outside_name_it(parity: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="arch: 'cnn' is no architecture for parity; there are pixels"):
        load_config("parity", ("--arch", "cnn"))
    with pytest.raises(ConfigError, match="model: scale: got 'much', expected float"):
        load_config("parity", ("--model", '{"scale": "much"}'))
    with pytest.raises(ConfigError, match="teacher: vision and text only: a teacher's answer is a class"):
        load_config("parity", ("--teacher", "models/digits"))
    assert main(["train", "parity", "--data", "clocks"]) == 1
    assert "baton train: --data 'clocks': parity is of digits alone" in capsys.readouterr().err


def test_a_name_is_taken_once_and_free_again_behind_the_block() -> None:
    with (
        pytest.raises(ValueError, match="'cnn' is an architecture for vision already"),
        architectures.registered(Architecture("cnn", "parity", build_pixel_sum, "", "")),
    ):
        pass
    with pytest.raises(ValueError, match="task: 'text' is registered already"):
        tasks.register(tasks.find_task("text"))
    with architectures.registered(PIXELS), tasks.registered(ParityTask()):
        assert "parity" in architectures.task_names()
    assert "parity" not in tasks.TASKS
    with pytest.raises(
        ConfigError, match="task: 'parity' is unknown; there are vision, text, recommendation"
    ):
        make_config({"task": "parity", "data": "digits", "arch": "pixels"})
    assert main(["train", "parity"]) == 2


def test_bundles_of_before_have_the_task_of_their_manifest(tmp_path: Path) -> None:
    """Provenance holds the word behind `baton train`; without one the manifest's own task is it."""
    from tests.bundles import shipped
    from training.lineage import task_of

    manifest = Bundle.open(shipped("fashion")).manifest
    assert task_of(manifest) == "vision"
    assert task_of(manifest.model_copy(update={"provenance": None})) == "vision"
