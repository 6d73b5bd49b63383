"""Vision: image classification. Pixels in, a class out."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from inference.processors.image import INPUT
from inference.values import Payload, Tensors
from training.architectures.base import ImageNetwork
from training.architectures.classifier import ClassifierGraph, ImageClassifier
from training.architectures.outliers import OutlierScore
from training.architectures.registry import find_architecture
from training.config import TrainConfig
from training.data.configured import image_config, image_flags
from training.data.examples import Batch, spread_rows
from training.data.splits import Holdout, calibration_rows, stratified_holdout
from training.data.vision import Images, ImageSet, load_images, pixel_statistics
from training.evaluate.calibrate import Calibrated
from training.evaluate.linear import Split, image_baseline
from training.evaluate.outliers import OutlierChoice
from training.evaluate.report import Report
from training.evaluate.robustness import of_images
from training.evaluate.slices import image_columns
from training.tasks import classification
from training.tasks.augment import Augment
from training.tasks.base import Foreign, Int8Method, Monitor, TaskData, TaskOf
from training.tasks.classification import ClassFacts
from training.tasks.foreign import Pixels, foreign_images

NO_IMAGES = Images(torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))


@dataclass(frozen=True)
class ImageFacts(ClassFacts):
    """slices: columns by which the test split is scored apart."""

    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageData(TaskData[Images]):
    """Images of one size, uint8 [rows, H, W, C]."""

    facts: ImageFacts


class VisionTask(TaskOf[ImageData, ImageFacts, ImageClassifier]):
    """Images of one size in memory, cross-entropy over classes, best epoch by accuracy."""

    name = "vision"
    manifest_task: TaskName = "vision"
    monitor = classification.ACCURACY
    outputs: tuple[str, ...] = ("probabilities", "logits")
    int8_methods: tuple[Int8Method, ...] = ("static", "dynamic")

    def monitor_for(self, config: TrainConfig) -> Monitor:
        return classification.monitor_for(config)

    def load(self, config: TrainConfig) -> ImageData:
        image_columns(config.slice, NO_IMAGES, ())  # a column that is none is a fault before any work
        processor = image_config(config, *config.image_size)
        images = load_images(config.data, processor, strict=config.strict, flags=image_flags(config))
        held, train, validation = _split(images, config)
        classes = images.classes
        rows = {"train": len(train), "validation": len(validation), "test": len(images.test)}
        return ImageData(
            train=train,
            validation=validation,
            test=images.test,
            held_out=held,
            source=DataSource(
                name=images.name,
                url=images.url,
                licence=images.licence,
                digest=images.digest,
                rows=rows,
                choices=dict(images.choices),
            ),
            facts=ImageFacts(
                classes=classes,
                class_counts=tuple(torch.bincount(train.labels, minlength=len(classes)).tolist()),
                slices=tuple(config.slice),
            ),
            skipped=images.skipped,
            calibration=calibration_rows(validation.labels.numpy(), config.seed),
        )

    def build(self, config: TrainConfig, data: ImageData) -> ImageClassifier:
        pixels = data.train.pixels
        height, width, channels = pixels.shape[1:]
        builder = find_architecture(self.name, config.arch).build
        network: ImageNetwork = builder((channels, height, width), len(data.facts.classes), **config.model)
        model = ImageClassifier(network, *pixel_statistics(pixels), mirrored=config.mirror)
        network.prepare(lambda count: model.scaled(pixels[:count]))
        # Torch has no stubs for the layout of a module; the call is documented for convolutions.
        return model.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]

    def augment(
        self, batch: Batch, config: TrainConfig, facts: ImageFacts, generator: torch.Generator
    ) -> Batch:
        change = Augment(config.crop, config.flip, config.erase, config.mixup, config.cutmix)
        images, labels = change(batch[INPUT], batch["label"], len(facts.classes), generator)
        return {INPUT: images, "label": labels}

    def loss(self, model: ImageClassifier, batch: Batch, config: TrainConfig, facts: ImageFacts) -> Tensor:
        return classification.loss(model(batch[INPUT]), batch, config, facts)

    def metrics(self, facts: ImageFacts) -> MetricCollection:
        return classification.metrics(facts)

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        logits = model(batch[INPUT])
        metrics.update(logits, batch["label"])
        return F.cross_entropy(logits, batch["label"])

    def inputs(self, batch: Batch) -> Batch:
        return {INPUT: batch[INPUT]}

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        return StackingProcessor().collate(parts)

    def strangers(self, data: ImageData) -> list[Tensors]:
        """Noise twice, black, and white."""
        shape = 1, *data.validation.pixels.shape[1:]
        generator = np.random.default_rng(0)
        noise = [generator.integers(0, 256, shape).astype(np.uint8) for _ in range(2)]
        return [
            {INPUT: pixels} for pixels in (*noise, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8))
        ]

    def calibrate(self, model: nn.Module, data: ImageData, config: TrainConfig) -> Calibrated:
        return classification.calibrate_on(model, data, self.inputs, config)

    def outliers(
        self, model: ImageClassifier, calibrated: Calibrated, data: ImageData
    ) -> tuple[OutlierScore, OutlierChoice]:
        rows = spread_rows(len(data.validation), classification.CHOOSING_ROWS)
        made = foreign_images(data.validation.pixels[rows].numpy(), classification.CHOOSING_SEED)
        foreign = {name: _unlabelled(pixels) for name, pixels in made.items()}
        graph = self.deployed(model, calibrated)
        return classification.choose_outliers(graph, data.train, data.validation, self.inputs, foreign)

    def foreign(self, data: ImageData, config: TrainConfig) -> list[Foreign]:
        rows = spread_rows(len(data.test), classification.MEASURED_ROWS)
        made = foreign_images(data.test.pixels[rows].numpy(), classification.MEASURING_SEED)
        found = [
            Foreign(name, "generated", self._payloads(_unlabelled(pixels))) for name, pixels in made.items()
        ]
        for name in config.foreign:
            images = load_images(name, self.processor(config, data), strict=config.strict).test
            found.append(Foreign(Path(name).name, "named", self._payloads(images)))
        return found

    def own(self, data: ImageData) -> list[Payload]:
        return self._payloads(data.test)

    def _payloads(self, images: Images) -> list[Payload]:
        rows = spread_rows(len(images), classification.MEASURED_ROWS)
        return [self.payload(images, row) for row in rows.tolist()]

    def deployed(self, model: ImageClassifier, calibrated: Calibrated) -> ClassifierGraph:
        return ClassifierGraph(model.deployed(), calibrated.temperature)

    def processor(self, config: TrainConfig, data: ImageData) -> ImageConfig:
        height, width, channels = data.train.pixels.shape[1:]
        return image_config(config, height, width, channels)

    def files(self, data: ImageData) -> Mapping[str, bytes]:
        return {LABELS_FILE: json.dumps(data.facts.classes, ensure_ascii=False, indent=1).encode()}

    def payload(self, examples: Images, row: int) -> Payload:
        """As PNG, which keeps every pixel."""
        pixels = examples.pixels[row].numpy()
        stream = io.BytesIO()
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
        return Payload(stream.getvalue(), "image/png", field=f"row {row}")

    def golden_rows(self, data: ImageData) -> list[int]:
        return classification.golden_rows(data.validation.labels, len(data.facts.classes))

    def evaluate(self, predictor: Predictor, data: ImageData, calibrated: Calibrated, plots: Path) -> Report:
        payloads = [self.payload(data.test, row) for row in range(len(data.test))]
        classes = data.facts.classes
        columns = image_columns(data.facts.slices, data.test, classes)
        return classification.evaluate(
            predictor, payloads, data.test.labels, classes, calibrated, plots, columns
        )

    def robustness(
        self, candidate: Path, model: nn.Module, data: ImageData, config: TrainConfig
    ) -> dict[str, float]:
        predictor = Predictor.open(candidate, "fp32", prove=False)
        return of_images(predictor, model, data.test, self.payload, config.background)

    def with_baselines(self, report: Report, data: ImageData, config: TrainConfig) -> Report:
        splits = (
            Split(each.pixels.numpy(), each.labels.numpy())
            for each in (data.train, data.validation, data.test)
        )
        baseline = image_baseline(*splits, balanced=config.class_weights == "balanced")
        return classification.with_baseline(report, baseline, data.test.labels, config)


def _split(images: ImageSet, config: TrainConfig) -> tuple[Holdout, Images, Images]:
    """The published validation split, whose rows count on after those of train, or a part of train."""
    if images.validation is not None:
        whole, first = np.arange(len(images.train) + len(images.validation)), len(images.train)
        return Holdout(whole[:first], whole[first:]), images.train, images.validation
    labels = images.train.labels.numpy()
    held = stratified_holdout(labels, round(config.validation * len(labels)), config.seed)
    return held, images.train.take(held.train), images.train.take(held.held)


def _unlabelled(pixels: Pixels) -> Images:
    return Images(torch.from_numpy(pixels), torch.zeros(len(pixels), dtype=torch.int64))
