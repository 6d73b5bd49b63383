"""Vision: image classification. Pixels in, a class out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from training.architectures.registry import find_architecture
from training.augment import Augment
from training.classifier import ImageClassifier
from training.config import TrainConfig
from training.data.examples import Batch
from training.data.splits import stratified_holdout
from training.data.vision import Images, load_images, pixel_statistics
from training.tasks.base import Facts, Monitor, Source, TaskData

VisionData = TaskData[Images]


class VisionTask:
    """Images of one size in memory, cross-entropy over classes, best epoch by accuracy."""

    name = "vision"
    monitor = Monitor("accuracy", "max")

    def load(self, config: TrainConfig) -> VisionData:
        images = load_images(config.data, config.image_size, strict=config.strict)
        labels = images.train.labels.numpy()
        held = stratified_holdout(labels, round(config.validation * len(labels)), config.seed)
        train = images.train.take(held.train)
        return TaskData(
            train=train,
            validation=images.train.take(held.held),
            test=images.test,
            held_out=held,
            source=Source(images.name, images.licence, images.digest),
            facts={
                "classes": images.classes,
                "class_counts": torch.bincount(train.labels, minlength=len(images.classes)).tolist(),
            },
            skipped=images.skipped,
        )

    def build(self, config: TrainConfig, data: VisionData) -> nn.Module:
        height, width, channels = data.train.pixels.shape[1:]
        builder = find_architecture(self.name, config.arch).build
        network = builder((channels, height, width), len(data.facts["classes"]), **config.model)
        model = ImageClassifier(network, *pixel_statistics(data.train.pixels))
        # Torch has no stubs for the layout of a module; the call is documented for convolutions.
        return model.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]

    def augment(self, batch: Batch, config: TrainConfig, facts: Facts, generator: torch.Generator) -> Batch:
        change = Augment(config.crop, config.flip, config.erase, config.mixup, config.cutmix)
        images, labels = change(batch["image"], batch["label"], len(facts["classes"]), generator)
        return {"image": images, "label": labels}

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, facts: Facts) -> Tensor:
        logits = model(batch["image"])
        weights = None
        if config.class_weights == "balanced":
            weights = balanced_weights(facts["class_counts"]).to(logits.device)
        return F.cross_entropy(logits, batch["label"], weights, label_smoothing=config.label_smoothing)

    def metrics(self, facts: Facts) -> MetricCollection:
        classes = len(facts["classes"])
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "macro_f1": MulticlassF1Score(classes, average="macro"),
            }
        )

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        logits = model(batch["image"])
        metrics.update(logits, batch["label"])
        return F.cross_entropy(logits, batch["label"])


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """Weight of each class, rows / (classes · rows of the class): float32 [classes], 1 where balanced."""
    rows = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    return rows.sum() / (len(counts) * rows)
