"""An inference request as it stands on the wire: its JSON part, typed, and the rules for its parameters."""

from typing import Annotated, Any

import msgspec

from inference.errors import InvalidInput, Unsupported, counted
from serving.codec.json_faults import json_fault
from serving.codec.nonfinite import may_hold_nonfinite, parse_nonfinite, with_zero

Scalar = str | int | float | bool
Parameters = dict[str, Scalar | None]
"""By name; null counts as absent, as everywhere: typed clients write out every field that they know."""
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # NumPy's and ONNX Runtime's axes are int64
NO_DATA = msgspec.Raw(b"")
MAX_NUMBER = 2**64 - 1
"""The largest whole number that a parameter may be: the protocol's are of 64 bits."""


class InputHead(msgspec.Struct, gc=False):
    """One of `inputs`; its `data` is parsed when the model says what type the elements have."""

    name: str
    shape: list[Size]
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw = NO_DATA


class OutputHead(msgspec.Struct, gc=False):
    """One of `outputs`."""

    name: str
    parameters: Parameters | None = None


class RequestHead(msgspec.Struct, gc=False):
    """The JSON part. Fields without a name here (`model_name`, say) are tolerated and ignored."""

    inputs: list[InputHead]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[OutputHead] | None = None


_decode = msgspec.json.Decoder(RequestHead).decode


def parse_head(text: bytes | memoryview, *, strict: bool = False) -> RequestHead:
    """The JSON part of a request; `InvalidInput` says where it is wrong.

    Unless `strict`, NaN and Infinity are read too; the `data` beside them are then Python's values.
    """
    try:
        head = _decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        if isinstance(error, (msgspec.ValidationError, RecursionError)) or not may_hold_nonfinite(
            bytes(text)
        ):
            raise json_fault(error, text) from None
        if strict:
            raise strict_fault(error, len(text)) from None
        head = _parse_with_nonfinite(bytes(text))
    if not head.inputs:
        raise InvalidInput("inputs", "an empty list", "every input of the model")
    return head


def strict_fault(said: object, size: int) -> InvalidInput:
    """The fault of a body of `size` bytes that is JSON but for NaN or Infinity, where they are not allowed."""
    expected = "strict JSON, which has no NaN or Infinity"
    return InvalidInput("body", f"{counted(size, 'byte')} ({said})", expected)


def _parse_with_nonfinite(text: bytes) -> RequestHead:
    """A request with NaN or Infinity, which msgspec does not read: it reads all but the data, and `json` those."""
    plain = with_zero(text)
    try:
        head = _decode(plain)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise json_fault(error, plain) from None
    for tensor, parsed in zip(head.inputs, parse_nonfinite(text)["inputs"], strict=True):
        tensor.data = parsed.get("data", NO_DATA)  # `decode_elements` takes both
    return head


def has_data(head: InputHead) -> bool:
    """Whether `data` came; null is none."""
    data: Any = head.data
    if isinstance(data, msgspec.Raw):
        return data is not NO_DATA and bytes(memoryview(data)[:5]) != b"null"
    return data is not None


def check_parameters(parameters: Parameters) -> None:
    """Refuse names that are reserved and states that are not offered; other parameters are not looked at."""
    for name, value in parameters.items():
        if value is None:
            continue
        if name.startswith("triton_"):
            raise InvalidInput(f"parameters.{name}", value, "no parameter whose name begins with triton_")
        if name == "sequence_id" and value not in (0, ""):
            raise Unsupported("parameters.sequence_id: models here keep no state between requests")


def refuse_shared_memory(parameters: Parameters, field: str) -> None:
    """`Unsupported` for a client that asks for shared memory, which is off."""
    for name, value in parameters.items():
        if value is not None and name.startswith("shared_memory_"):
            raise Unsupported(
                f"{field}.parameters.{name}: shared memory is not offered, send the bytes in the body"
            )


def whole_number(parameters: Parameters, name: str, field: str) -> int:
    """A parameter that counts something; 0 where it is absent."""
    value = parameters.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise InvalidInput(f"{field}.{name}", value, f"a whole number from 0 to {MAX_NUMBER}")
    return value


def flag(parameters: Parameters, name: str, field: str) -> bool:
    """A parameter that is true or false; false where it is absent."""
    value = parameters.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInput(f"{field}.{name}", value, "true or false")
    return value
