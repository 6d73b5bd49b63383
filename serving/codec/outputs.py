"""A request's outputs: which of them a client asks for, in which form, and the answer that holds them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import orjson

from inference.errors import InvalidInput
from inference.manifest import Manifest, TensorSpec
from inference.values import Array, DataType, Tensors
from serving.codec.binary import encode_binary
from serving.codec.classification import check_classification, classify
from serving.codec.elements import encode_elements
from serving.codec.long_answers import binary_parts, json_parts
from serving.codec.request import OutputHead, Parameters, flag, refuse_shared_memory, whole_number
from serving.codec.scan import Pace, unpaced

INLINE_ELEMENTS = 32 * 1024
"""Elements of an output that are encoded on the event loop: 1 ms of float32 as JSON."""

_INLINE_BINARY = 1 << 20  # elements; they are copied once, behind the answer's JSON
_JSON_BYTES = 32  # about, of a string
_PART_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output as the client asks for it: as JSON or binary, whole or its `classes` likeliest."""

    name: str
    datatype: DataType
    binary: bool = False
    classes: int = 0
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """An encoded answer; `json_bytes` is the length of its JSON part where binary tensors follow, else None."""

    body: bytes
    json_bytes: int | None = None
    rest: Sequence[bytes | memoryview] = ()
    """Of a large answer: what follows `body`, in parts."""


class OutputEncoder:
    """The outputs of one version of one model. Text that is the same in every answer is written once, here."""

    def __init__(self, manifest: Manifest, labels: Mapping[str, Sequence[str]], *, strict: bool) -> None:
        """`labels`: names of the elements of an output's row, by output. `strict`: without NaN and Infinity."""
        self._labels, self._strict = labels, strict
        self._batched = manifest.max_batch_size > 0
        self._all = tuple(_whole(spec, labels, binary=False) for spec in manifest.outputs)
        self.all_binary = tuple(_whole(spec, labels, binary=True) for spec in manifest.outputs)
        self._outputs = {output.name: output for output in self._all}
        name, version = orjson.dumps(manifest.name), orjson.dumps(str(manifest.version))
        self._prefix = b'{"model_name":%b,"model_version":%b,' % (name, version)
        self.small_rows = _small_rows(manifest)
        """An answer of so many rows is not large, whatever the outputs that are asked for."""
        self._heads: dict[tuple[str, DataType, int], bytes] = {}

    def requested(
        self, heads: Sequence[OutputHead] | None, parameters: Parameters | None
    ) -> Sequence[RequestedOutput]:
        """The outputs that a request names, or all of the model's in the form that its `parameters` ask for."""
        if heads:
            return [self._requested_output(head, f"outputs[{index}]") for index, head in enumerate(heads)]
        if parameters and flag(parameters, "binary_data_output", "parameters"):
            return self.all_binary
        return self._all

    def encode(self, requested: Sequence[RequestedOutput], outputs: Tensors, request_id: str) -> InferAnswer:
        """The answer: the JSON part, then the binary outputs in the order in which it names them."""
        parts = [self._prefix]
        if request_id:
            parts.append(b'"id":%b,' % orjson.dumps(request_id))
        blobs: list[bytes | memoryview] = []
        opening = b'"outputs":['
        for output in requested:
            array, datatype = outputs[output.name], output.datatype
            if output.classes:
                array, datatype = self._classify(output, array), DataType.BYTES
            parts.append(opening)
            parts.append(self._head(output.name, datatype, array.ndim) % array.shape)
            if output.binary:
                blob = encode_binary(array, datatype)
                blobs.append(blob)
                parts.append(b'"parameters":{"binary_data_size":%d}}' % len(blob))
            else:
                parts.append(b'"data":')
                parts.append(encode_elements(array, datatype, strict=self._strict))
                parts.append(b"}")
            opening = b","
        parts.append(b"]}")
        text = b"".join(parts)
        return InferAnswer(b"".join((text, *blobs)), len(text)) if blobs else InferAnswer(text)

    def encode_large(
        self, requested: Sequence[RequestedOutput], outputs: Tensors, request_id: str, pace: Pace
    ) -> InferAnswer:
        """The bytes of `encode` in parts, as a thread makes them that calls `pace` between two of them."""
        parts: list[bytes | memoryview] = [self._prefix]
        if request_id:
            parts.append(b'"id":%b,' % orjson.dumps(request_id))
        blobs: list[bytes | memoryview] = []
        opening = b'"outputs":['
        for output in requested:
            array, datatype = outputs[output.name], output.datatype
            if output.classes:
                array, datatype = self._classify(output, array, pace), DataType.BYTES
            parts.append(opening + self._head(output.name, datatype, array.ndim) % array.shape)
            if output.binary:
                written = list(binary_parts(array, datatype, pace))
                blobs += written
                parts.append(b'"parameters":{"binary_data_size":%d}}' % sum(map(len, written)))
            else:
                parts.append(b'"data":')
                parts += json_parts(array, datatype, pace, strict=self._strict)
                parts.append(b"}")
            opening = b","
        parts.append(b"]}")
        json_bytes = sum(map(len, parts)) if any(output.binary for output in requested) else None
        parts += blobs
        blobs.clear()
        first, *rest = _gathered(parts, pace)
        return InferAnswer(bytes(first), json_bytes, rest)

    def is_large(self, requested: Sequence[RequestedOutput], outputs: Tensors) -> bool:
        """Whether encoding these would take longer than `INLINE_ELEMENTS` in JSON do."""
        return any(
            outputs[output.name].size > (_INLINE_BINARY if output.binary else INLINE_ELEMENTS)
            for output in requested
        )

    def encoded_bytes(self, requested: Sequence[RequestedOutput], outputs: Tensors) -> int:
        """About how long the answer will be, from its number of elements."""
        return sum(_encoded_bytes(output, outputs[output.name]) for output in requested)

    def _requested_output(self, head: OutputHead, field: str) -> RequestedOutput:
        output = self._outputs.get(head.name)
        if output is None:
            raise InvalidInput(f"{field}.name", head.name, f"one of {', '.join(self._outputs)}")
        if not head.parameters:
            return output  # JSON even under `binary_data_output`, as in Triton
        refuse_shared_memory(head.parameters, field)
        classes = whole_number(head.parameters, "classification", f"{field}.parameters")
        if classes:
            check_classification(output.datatype, f"{field}.parameters.classification")
        binary = flag(head.parameters, "binary_data", f"{field}.parameters")
        return RequestedOutput(output.name, output.datatype, binary, classes, self._labels.get(head.name, ()))

    def _classify(self, output: RequestedOutput, array: Array, pace: Pace = unpaced) -> Array:
        field = f"outputs.{output.name}"
        return classify(array, output.classes, output.labels, batched=self._batched, field=field, pace=pace)

    def _head(self, name: str, datatype: DataType, rank: int) -> bytes:
        """A template for an output's beginning, to be filled with its shape."""
        key = (name, datatype, rank)
        head = self._heads.get(key)
        if head is None:
            quoted = orjson.dumps(name).replace(b"%", b"%%")
            axes = b",".join([b"%d"] * rank)
            head = b'{"name":%b,"datatype":"%b","shape":[%b],' % (quoted, datatype.encode(), axes)
            self._heads[key] = head
        return head


def _small_rows(manifest: Manifest) -> int:
    """The rows whose elements are at most `INLINE_ELEMENTS` in each output; 0 where that depends on the request."""
    if any(
        spec.any_shape or -1 in (spec.shape[1:] if manifest.max_batch_size else spec.shape)
        for spec in manifest.outputs
    ):
        return 0
    if not manifest.max_batch_size:
        return int(all(prod(spec.shape) <= INLINE_ELEMENTS for spec in manifest.outputs))
    return min((INLINE_ELEMENTS // max(1, prod(spec.shape[1:])) for spec in manifest.outputs), default=1)


def _encoded_bytes(output: RequestedOutput, array: Array) -> int:
    if output.binary or output.classes:
        return 0 if array.dtype != np.object_ else array.size * _JSON_BYTES
    return array.size * (4 + 2 * min(8, array.dtype.itemsize))


def _gathered(parts: list[bytes | memoryview], pace: Pace) -> Iterator[bytes | memoryview]:
    """The same bytes in fewer parts: small ones are joined, up to `_PART_BYTES`.

    `parts` is emptied on the way: to give all of them back at once would hold the interpreter for 10 ms.
    """
    small: list[bytes | memoryview] = []
    size = 0
    parts.reverse()
    while parts:
        part = parts.pop()
        if len(part) >= _PART_BYTES or size >= _PART_BYTES:
            if small:
                yield b"".join(small)
            small, size = [], 0
            pace()
        if len(part) >= _PART_BYTES:
            yield part
        else:
            small.append(part)
            size += len(part)
    yield b"".join(small)


def _whole(spec: TensorSpec, labels: Mapping[str, Sequence[str]], *, binary: bool) -> RequestedOutput:
    return RequestedOutput(spec.name, spec.datatype, binary, 0, labels.get(spec.name, ()))
