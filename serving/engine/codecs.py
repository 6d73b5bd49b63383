"""The codec of a served model: how its tensors are read and written, whichever front door they come by."""

from collections.abc import Mapping, Sequence

from serving.codec.configured import ConfiguredCodec, Reshapes
from serving.codec.infer import InferCodec
from serving.engine.served_model import ServedModel


def codec_of(model: ServedModel, *, strict: bool = False) -> InferCodec:
    """The codec of a model, which is a plain one unless a `config.pbtxt` says otherwise."""
    manifest, bundle = model.manifest, model.predictor.bundle
    check = None if manifest.task == "tensor" else model.predictor.processor.check
    asked, timeout_us = bundle.client_view(), bundle.config and bundle.config.default_timeout_us
    if not (asked.inputs or asked.outputs or timeout_us):
        return InferCodec(manifest, labels_of(model), check, strict=strict)
    reshapes = Reshapes(asked.inputs, asked.outputs)
    return ConfiguredCodec(manifest, labels_of(model), check, reshapes, timeout_us or 0, strict=strict)


def labels_of(model: ServedModel) -> Mapping[str, Sequence[str]]:
    """The labels of an output's elements, for outputs that have one element a label."""
    classification = getattr(model.predictor.processor, "classification", None)
    labels: Sequence[str] = getattr(classification, "labels", ())
    config = model.predictor.bundle.config
    return {
        spec.name: labels
        for spec in model.manifest.outputs
        if labels and spec.shape and spec.shape[-1] == len(labels)
    } | (config.labels if config else {})
