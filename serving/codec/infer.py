"""One model's tensors on the wire: requests checked against its manifest, answers from its arrays.

A codec is made once for a served model, so that what does not change between requests is written once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.manifest import Manifest
from inference.values import Tensors
from serving.codec.binary import let_go
from serving.codec.inputs import NO_BLOBS, Blobs, InputDecoder
from serving.codec.outline import outline
from serving.codec.outputs import InferAnswer, OutputEncoder, RequestedOutput
from serving.codec.request import Parameters, RequestHead, check_parameters, parse_head, whole_number
from serving.codec.scan import Pace

INLINE_BYTES = 256 * 1024
"""Of a body of numbers: 1 to 2 ms of the event loop where they are JSON."""

INLINE_STRINGS_BYTES = 64 * 1024
"""Of a body with strings, each of which is an object: as long, where they are short."""

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


class Outline(NamedTuple):
    """A large request whose head is known, and whose elements are not decoded yet. `head` is None for a raw one."""

    head: RequestHead | None
    body: memoryview
    blobs: Blobs
    decoded_bytes: int
    """How much memory its tensors will take beside the body."""
    timeout_us: int = 0


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
        self.inline_bytes = INLINE_STRINGS_BYTES if self._inputs.takes_strings else INLINE_BYTES
        """Bodies up to this size are decoded at once, on the event loop."""
        self.takes_strings = self._inputs.takes_strings
        self._outputs = OutputEncoder(manifest, labels or {}, strict=strict)
        self.small_rows = self._outputs.small_rows
        """Answers of so many rows are encoded at once, on the event loop."""

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
        return self._request(head, blobs)

    def outline(self, body: memoryview, json_bytes: int | None, pace: Pace) -> Outline:
        """The head of a large request, checked as far as that tells; `decode_outlined` decodes the rest.

        Both are for a thread, and call `pace` between pieces of their work.
        """
        if json_bytes == 0:
            return Outline(None, body, NO_BLOBS, len(body))
        end = len(body) if json_bytes is None else json_bytes
        head = outline(body[:end], pace, strict=self._strict)
        if head.parameters:
            check_parameters(head.parameters)
        self._inputs.check(head.inputs)
        self._outputs.requested(head.outputs, head.parameters)
        blobs = NO_BLOBS if json_bytes is None else Blobs(body[end:], pace)
        timeout_us = _timeout_us(head.parameters) if head.parameters else 0
        return Outline(head, body, blobs, self._inputs.decoded_bytes(head.inputs), timeout_us)

    def decode_outlined(self, outline: Outline, pace: Pace) -> InferRequest:
        """The request of an outline, as `decode` gives it."""
        if outline.head is not None:
            return self._request(outline.head, outline.blobs)
        raw = self._inputs.decode_raw(outline.body, pace)
        if self._check is not None:
            self._check(raw)
        return InferRequest(raw, 1, self._outputs.all_binary)

    def _request(self, head: RequestHead, blobs: Blobs) -> InferRequest:
        parameters = head.parameters
        if parameters:
            check_parameters(parameters)
        tensors, rows = self._inputs.decode(head.inputs, blobs)
        if self._check is not None:
            self._check(tensors)
        requested = self._outputs.requested(head.outputs, parameters)
        request = InferRequest(tensors, rows, requested, head.id or "")
        if parameters:
            request.timeout_us = _timeout_us(parameters)
            request.priority = int(whole_number(parameters, "priority", "parameters") > 1)
        return request

    def encode(self, request: InferRequest, outputs: Tensors) -> InferAnswer:
        """The answer: the JSON part, then the binary outputs in the order in which it names them."""
        return self._outputs.encode(request.outputs, outputs, request.id)

    def encode_large(self, request: InferRequest, outputs: Tensors, pace: Pace) -> InferAnswer:
        """The same answer in pieces, for a thread; `pace` is called between them. Strings are gone afterwards."""
        answer = self._outputs.encode_large(request.outputs, outputs, request.id, pace)
        let_go(request.tensors, pace)
        let_go(outputs, pace)
        return answer

    def is_large(self, request: InferRequest, outputs: Tensors) -> bool:
        """Whether encoding the answer, of more than `small_rows`, would take the event loop for long."""
        return self._outputs.is_large(request.outputs, outputs)

    def encoded_bytes(self, request: InferRequest, outputs: Tensors) -> int:
        """About how long the answer will be."""
        return self._outputs.encoded_bytes(request.outputs, outputs)


def _timeout_us(parameters: Parameters) -> int:
    timeout_us = whole_number(parameters, "timeout", "parameters")
    return timeout_us if timeout_us >= MIN_TIMEOUT_US else 0
