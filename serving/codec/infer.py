"""One model's tensors on the wire: requests checked against its manifest, answers from its arrays.

A codec is made once for a served model, so that what does not change between requests is written once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from inference.manifest import Manifest
from inference.values import Tensors
from serving.codec.inputs import NO_BLOBS, Blobs, InputDecoder
from serving.codec.outputs import InferAnswer, OutputEncoder, RequestedOutput
from serving.codec.request import check_parameters, parse_head, whole_number

MIN_TIMEOUT_US = 1000
"""A `timeout` below it is taken for none, as Triton takes every one that a model's queue policy does not ask for.

No answer over HTTP comes within a millisecond for certain. A client that writes 30 means seconds: tritony 0.0.23 does.
"""


@dataclass(slots=True)
class InferRequest:
    """A decoded request: `tensors` are those that the manifest promises, `timeout_us` 0 for none."""

    tensors: Tensors
    rows: int
    outputs: Sequence[RequestedOutput]
    id: str = ""
    timeout_us: int = 0
    priority: int = 0


class InferCodec:
    """Requests and answers of one version of one model."""

    def __init__(
        self,
        manifest: Manifest,
        labels: Mapping[str, Sequence[str]] | None = None,
        check: Callable[[Tensors], None] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        """`labels`: names of the elements of an output's row, by output.

        `check` refuses tensors by their values. `strict`: JSON without NaN and Infinity, in requests and in answers.
        """
        self._check, self._strict = check, strict
        self._inputs = InputDecoder(manifest)
        self._outputs = OutputEncoder(manifest, labels or {}, strict=strict)

    def decode(self, body: bytes | memoryview, json_bytes: int | None = None) -> InferRequest:
        """A request from its body; `json_bytes` is `Inference-Header-Content-Length`, None where it is absent.

        With 0 the request is raw: the body is the only input's data, and every output comes back binary.
        `InvalidInput` names the field, what came and what was expected; `Unsupported` what is not offered.
        """
        if json_bytes is None:
            blobs, head = NO_BLOBS, parse_head(body, strict=self._strict)
        elif json_bytes == 0:
            raw = self._inputs.decode_raw(body)
            if self._check is not None:
                self._check(raw)
            return InferRequest(raw, 1, self._outputs.all_binary)
        else:
            view = memoryview(body)
            blobs, head = Blobs(view[json_bytes:]), parse_head(view[:json_bytes], strict=self._strict)
        parameters = head.parameters
        if parameters:
            check_parameters(parameters)
        tensors, rows = self._inputs.decode(head.inputs, blobs)
        if self._check is not None:
            self._check(tensors)
        requested = self._outputs.requested(head.outputs, parameters)
        request = InferRequest(tensors, rows, requested, head.id or "")
        if parameters:
            timeout_us = whole_number(parameters, "timeout", "parameters")
            request.timeout_us = timeout_us if timeout_us >= MIN_TIMEOUT_US else 0
            request.priority = int(whole_number(parameters, "priority", "parameters") > 1)
        return request

    def encode(self, request: InferRequest, outputs: Tensors) -> InferAnswer:
        """The answer: the JSON part, then the binary outputs in the order in which it names them."""
        return self._outputs.encode(request.outputs, outputs, request.id)
