"""Tensors in, tensors out: the processor of a graph that somebody else made."""

from typing import TYPE_CHECKING, Any, Self

from inference.errors import Unsupported
from inference.processors.base import StackingProcessor
from inference.values import Features, Payload, Prediction, Tensors

if TYPE_CHECKING:
    from inference.store.bundle import Bundle


class TensorProcessor(StackingProcessor):
    """No task is known, so there is nothing to decode; clients send tensors to `/v2/…/infer`."""

    media_types: tuple[str, ...] = ()

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """There is nothing to read."""
        return cls()

    def decode(self, payload: Payload) -> Any:
        """Always `Unsupported`: the bundle has no instances, only tensors."""
        raise Unsupported(
            "this model has no task: send tensors to /v2/models/{name}/infer instead of :predict"
        )

    def preprocess(self, decoded: Any) -> Features:
        """Never reached, since nothing is decoded."""
        raise NotImplementedError

    def postprocess(self, outputs: Tensors, context: Any) -> Prediction:
        """Each output of the row as nested lists."""
        return {name: array[0].tolist() for name, array in outputs.items()}
