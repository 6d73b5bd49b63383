"""One model's tensors on the wire: requests checked against its manifest, answers from its arrays.

A codec is made once for a served model, so that what does not change between requests is written once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import orjson

from inference.errors import InvalidInput
from inference.manifest import Manifest, TensorSpec
from inference.values import Array, DataType, Tensors
from serving.codec.binary import decode_binary, encode_binary, text_of
from serving.codec.classification import check_classification, classify
from serving.codec.elements import decode_elements, encode_elements
from serving.codec.request import (
    NO_DATA,
    InputHead,
    OutputHead,
    Parameters,
    check_parameters,
    flag,
    has_data,
    parse_head,
    refuse_shared_memory,
    whole_number,
)

LEAST_TIMEOUT_US = 1000
"""A `timeout` below it is taken for none, as Triton takes every one that a model's queue policy does not ask for.

No answer over HTTP comes within a millisecond for certain, and who writes 30 means seconds: tritony 0.0.23 does.
"""


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output as the caller wants it: as JSON or binary, whole or its `classes` likeliest."""

    name: str
    datatype: DataType
    binary: bool = False
    classes: int = 0
    labels: Sequence[str] = ()


@dataclass(slots=True)
class InferRequest:
    """A decoded request: `tensors` are what the manifest promises, `timeout_us` 0 for none."""

    tensors: Tensors
    rows: int
    outputs: Sequence[RequestedOutput]
    id: str = ""
    timeout_us: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """An encoded answer; `json_bytes` is the length of its JSON part where binary tensors follow, else None."""

    body: bytes
    json_bytes: int | None = None


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
        """`labels`: what the elements of an output's row are called, by output.

        `check` refuses tensors by what is in them. `strict`: JSON without NaN and Infinity, in requests and in answers.
        """
        named = labels or {}
        self._check, self._strict = check, strict
        self._inputs = {spec.name: spec for spec in manifest.inputs}
        self._tails = {spec.name: list(spec.shape[1:]) for spec in manifest.inputs}
        self._batched = manifest.max_batch_size > 0
        self._columns = frozenset(spec.name for spec in manifest.inputs if is_column(spec, manifest))
        self._labels = named
        self._all = tuple(_whole(spec, named, binary=False) for spec in manifest.outputs)
        self._all_binary = tuple(_whole(spec, named, binary=True) for spec in manifest.outputs)
        self._outputs = {output.name: output for output in self._all}
        name, version = orjson.dumps(manifest.name), orjson.dumps(str(manifest.version))
        self._prefix = b'{"model_name":%b,"model_version":%b,' % (name, version)
        self._heads: dict[tuple[str, DataType, int], bytes] = {}

    def decode(self, body: bytes | memoryview, json_bytes: int | None = None) -> InferRequest:
        """A request from its body; `json_bytes` is `Inference-Header-Content-Length`, None where it is absent.

        `InvalidInput` names the field, what came and what was expected; `Unsupported` what is not offered.
        """
        if json_bytes is None:
            blobs, head = _Blobs(None), parse_head(body, strict=self._strict)
        elif json_bytes == 0:
            return self._decode_raw(body)
        else:
            view = memoryview(body)
            blobs, head = _Blobs(view[json_bytes:]), parse_head(view[:json_bytes], strict=self._strict)
        parameters = head.parameters
        if parameters:
            check_parameters(parameters)
        tensors, rows = self._tensors(head.inputs, blobs)
        if self._check is not None:
            self._check(tensors)
        request = InferRequest(tensors, rows, self._requested(head.outputs, parameters), head.id or "")
        if parameters:
            timeout_us = whole_number(parameters, "timeout", "parameters")
            request.timeout_us = timeout_us if timeout_us >= LEAST_TIMEOUT_US else 0
            request.priority = int(whole_number(parameters, "priority", "parameters") > 1)
        return request

    def encode(self, request: InferRequest, outputs: Tensors) -> InferAnswer:
        """The answer: the JSON part, then the binary outputs in the order in which it names them."""
        parts = [self._prefix]
        if request.id:
            parts.append(b'"id":%b,' % orjson.dumps(request.id))
        blobs: list[bytes | memoryview] = []
        opening = b'"outputs":['
        for expected in request.outputs:
            array, datatype = outputs[expected.name], expected.datatype
            if expected.classes:
                array, datatype = self._classify(expected, array), DataType.BYTES
            parts.append(opening)
            parts.append(self._head(expected.name, datatype, array.ndim) % array.shape)
            if expected.binary:
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

    def _tensors(self, heads: Sequence[InputHead], blobs: "_Blobs") -> tuple[dict[str, Array], int]:
        tensors: dict[str, Array] = {}
        rows = 0
        for index, head in enumerate(heads):
            spec = self._spec(head, index, tensors)
            if self._batched:
                rows = self._check_rows(head.shape[0], rows, index)
            array = _elements(head, spec.datatype, blobs, f"inputs[{index}]")
            tensors[head.name] = array.reshape(-1) if self._columns and head.name in self._columns else array
        if len(tensors) != len(self._inputs):
            missing = sorted(self._inputs.keys() - tensors.keys())
            raise InvalidInput("inputs", f"{len(tensors)} inputs", f"also {', '.join(missing)}")
        blobs.check_used_up()
        return tensors, rows or 1

    def _spec(self, head: InputHead, index: int, seen: Mapping[str, Array]) -> TensorSpec:
        """What the model says of this input; refuses another name, datatype or shape."""
        spec = self._inputs.get(head.name)
        if spec is None:
            raise InvalidInput(f"inputs[{index}].name", head.name, f"one of {', '.join(self._inputs)}")
        if head.name in seen:
            raise InvalidInput(f"inputs[{index}].name", head.name, "each input once")
        if head.datatype != spec.datatype:
            raise InvalidInput(f"inputs[{index}].datatype", head.datatype, spec.datatype)
        shape = head.shape
        fits = self._batched and len(shape) > 0 and shape[1:] == self._tails[head.name]
        fits = fits or spec.any_shape or _fits(shape, spec.shape) or self._is_column(head)
        if not fits:
            raise InvalidInput(f"inputs[{index}].shape", shape, f"{list(spec.shape)}, -1 standing for any")
        return spec

    def _is_column(self, head: InputHead) -> bool:
        """Whether an input of one number a row came as the column that metadata show."""
        return head.name in self._columns and len(head.shape) == 2 and head.shape[1] == 1

    def _check_rows(self, rows: int, others: int, index: int) -> int:
        field = f"inputs[{index}].shape"
        if rows == 0:
            raise InvalidInput(field, "a batch of 0", "at least one row")
        if others not in (0, rows):
            raise InvalidInput(field, f"a batch of {rows}", f"{others} rows as in the other inputs")
        return rows

    def _requested(
        self, heads: Sequence[OutputHead] | None, parameters: Parameters | None
    ) -> Sequence[RequestedOutput]:
        if heads:
            return [self._requested_output(head, f"outputs[{index}]") for index, head in enumerate(heads)]
        if parameters and flag(parameters, "binary_data_output", "parameters"):
            return self._all_binary
        return self._all

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

    def _decode_raw(self, body: bytes | memoryview) -> InferRequest:
        """A raw request: the whole body is the one input's data, of batch 1; every output comes back binary."""
        if len(self._inputs) != 1:
            raise InvalidInput("inputs", f"{len(self._inputs)} inputs", "1 for a raw request")
        (spec,) = self._inputs.values()
        tail = spec.shape[1:] if self._batched else spec.shape
        leading = (1,) if self._batched else ()
        if tail.count(-1) > 1:
            raise InvalidInput("body", f"shape {list(spec.shape)}", "one variable axis in a raw request")
        if spec.datatype is DataType.BYTES:
            array: Array = np.array([text_of(body)], dtype=np.object_)
            if prod(tail) not in (1, -1):
                raise InvalidInput("body", "one element", f"{prod(tail)}, as shape {list(spec.shape)} has")
            return InferRequest({spec.name: array.reshape(leading + (1,) * len(tail))}, 1, self._all_binary)
        fixed = spec.datatype.dtype.itemsize * abs(prod(tail))
        variable = len(body) // fixed if fixed else 0
        shape = leading + tuple(variable if axis == -1 else axis for axis in tail)
        tensors = {spec.name: decode_binary(memoryview(body), spec.datatype, shape, "body")}
        if self._check is not None:
            self._check(tensors)
        return InferRequest(tensors, 1, self._all_binary)

    def _classify(self, expected: RequestedOutput, array: Array) -> Array:
        field = f"outputs.{expected.name}"
        return classify(array, expected.classes, expected.labels, batched=self._batched, field=field)

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


class _Blobs:
    """The binary part of a body, taken from its front, an input at a time."""

    __slots__ = ("_rest",)

    def __init__(self, rest: memoryview | None) -> None:
        self._rest = rest

    def take(self, size: int, field: str) -> memoryview:
        rest = self._rest
        if rest is None or size > len(rest):
            seen = "no binary part" if rest is None else f"{len(rest)} bytes left in the body"
            raise InvalidInput(field, seen, f"the {size} that it says")
        self._rest = rest[size:]
        return rest[:size]

    def check_used_up(self) -> None:
        if self._rest:
            raise InvalidInput(
                "body",
                f"unexpected additional input data, {len(self._rest)} bytes",
                "nothing after the last input",
            )


def _elements(head: InputHead, datatype: DataType, blobs: _Blobs, field: str) -> Array:
    if not head.parameters:
        if head.data is NO_DATA:
            raise InvalidInput(field, "no data", "data, or parameters.binary_data_size")
        return decode_elements(head.data, datatype, head.shape, f"{field}.data")
    refuse_shared_memory(head.parameters, field)
    if head.parameters.get("binary_data_size") is None:
        return _elements(
            InputHead(head.name, head.shape, head.datatype, None, head.data), datatype, blobs, field
        )
    if head.data is not NO_DATA and has_data(head):
        raise InvalidInput(field, "both data and parameters.binary_data_size", "one of them")
    size = whole_number(head.parameters, "binary_data_size", f"{field}.parameters")
    blob = blobs.take(size, f"{field}.parameters.binary_data_size")
    return decode_binary(blob, datatype, head.shape, field)


def is_column(spec: TensorSpec, manifest: Manifest) -> bool:
    """Whether the batch is the tensor's only axis: it is shown as [-1, 1], as Triton shows it, and taken so too."""
    return manifest.max_batch_size > 0 and spec.shape == (-1,)


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(
        want in (-1, seen) for seen, want in zip(shape, expected, strict=True)
    )


def _whole(spec: TensorSpec, labels: Mapping[str, Sequence[str]], *, binary: bool) -> RequestedOutput:
    return RequestedOutput(spec.name, spec.datatype, binary, 0, labels.get(spec.name, ()))
