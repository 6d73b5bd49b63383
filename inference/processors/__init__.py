"""One processor a task: from a client's input to tensors, and from tensors to the client's answer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.processors.base import Processor
    from inference.store.bundle import Bundle


def build_processor(bundle: "Bundle") -> "Processor":
    """The processor that the bundle's manifest describes, with its labels or catalogue read in."""
    from inference.processors.image import ImageProcessor
    from inference.processors.recommendation import RecommendationProcessor
    from inference.processors.tensor import TensorProcessor
    from inference.processors.text import TextProcessor

    kinds: dict[str, type[Processor]] = {
        "image": ImageProcessor,
        "recommendation": RecommendationProcessor,
        "tensor": TensorProcessor,
        "text": TextProcessor,
    }
    return kinds[bundle.manifest.processor.kind].from_bundle(bundle)
