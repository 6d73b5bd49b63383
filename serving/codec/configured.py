"""Tensors on the wire where a model's `config.pbtxt` gives requests other shapes than the graph takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from inference.errors import InferenceFailed
from inference.manifest import Manifest
from inference.triton.shapes import Reshape
from inference.values import Array, Tensors
from serving.codec.infer import InferCodec, InferRequest, Outline
from serving.codec.outputs import InferAnswer
from serving.codec.scan import Pace


class Reshapes(NamedTuple):
    """Reshapes by tensor: inputs from clients to the graph, outputs the other way."""

    to_graph: Mapping[str, Reshape]
    to_client: Mapping[str, Reshape]


class ConfiguredCodec(InferCodec):
    """A codec that reshapes between clients and the graph, and gives a deadline to requests without one."""

    def __init__(
        self,
        manifest: Manifest,
        labels: Mapping[str, Sequence[str]],
        check: Callable[[Tensors], None] | None,
        reshapes: Reshapes,
        timeout_us: int = 0,
        *,
        strict: bool = False,
    ) -> None:
        """`timeout_us`: microseconds, also the most that a request may name; 0: none."""
        super().__init__(manifest, labels, check, strict=strict)
        self._to_graph, self._to_client, self._timeout_us = *reshapes, timeout_us

    def decode(self, body: bytes | memoryview, json_bytes: int | None = None) -> InferRequest:
        """The request, with tensors as the graph takes them."""
        return self._as_graph(super().decode(body, json_bytes))

    def decode_outlined(self, outline: Outline, pace: Pace) -> InferRequest:
        """The request, with tensors as the graph takes them."""
        return self._as_graph(super().decode_outlined(outline, pace))

    def _as_graph(self, request: InferRequest) -> InferRequest:
        reshaped = {name: reshape(request.tensors[name]) for name, reshape in self._to_graph.items()}
        request.tensors = {**request.tensors, **reshaped}
        if self._timeout_us:
            request.timeout_us = min(request.timeout_us or self._timeout_us, self._timeout_us)
        return request

    def encode(self, request: InferRequest, outputs: Tensors) -> InferAnswer:
        """The answer, with tensors as clients see them."""
        return super().encode(request, self._as_client(outputs))

    def encode_large(self, request: InferRequest, outputs: Tensors, pace: Pace) -> InferAnswer:
        """The same in pieces."""
        return super().encode_large(request, self._as_client(outputs), pace)

    def _as_client(self, outputs: Tensors) -> Tensors:
        reshaped = {
            name: _reshaped(name, outputs[name], reshape) for name, reshape in self._to_client.items()
        }
        return {**outputs, **reshaped}


def _reshaped(name: str, array: Array, reshape: Reshape) -> Array:
    try:
        return reshape(array)
    except ValueError:
        actual, expected = list(array.shape), list(reshape.source)
        raise InferenceFailed(
            f"output {name}: got shape {actual} from the graph, expected {expected} as in config.pbtxt"
        ) from None
