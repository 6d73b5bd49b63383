"""An inference request as it stands on the wire: its JSON part, typed, and the rules for its parameters."""

from typing import Annotated, Any

import msgspec

from inference.errors import InvalidInput, Unsupported
from serving.codec.elements import mismatch

Scalar = str | int | float | bool
Parameters = dict[str, Scalar]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
NO_DATA = msgspec.Raw(b"")


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
    """The JSON part. What is not named here (`model_name`, say) is tolerated and ignored."""

    inputs: list[InputHead]
    id: str = ""
    parameters: Parameters | None = None
    outputs: list[OutputHead] | None = None


_decode = msgspec.json.Decoder(RequestHead).decode


def parse_head(text: bytes | memoryview) -> RequestHead:
    """The JSON part of a request; `InvalidInput` says where it is wrong."""
    try:
        head = _decode(text)
    except msgspec.MsgspecError as error:
        raise json_fault(error, text) from None
    except RecursionError:
        raise InvalidInput("body", "JSON nested too deeply", "a few levels") from None
    if not head.inputs:
        raise InvalidInput("inputs", "an empty list", "every input of the model")
    return head


def json_fault(error: Exception, text: bytes | memoryview) -> InvalidInput:
    """A parser's complaint as `InvalidInput`: a value of the wrong type, or no JSON at all."""
    if isinstance(error, msgspec.ValidationError):
        return mismatch(error, "")
    return InvalidInput("body", f"{len(text)} bytes ({error})", "JSON")


def check_parameters(parameters: Parameters) -> None:
    """Refuse what is reserved for others and what is not offered; the rest is nobody's business here."""
    for name, value in parameters.items():
        if name.startswith("triton_"):
            raise InvalidInput(f"parameters.{name}", value, "no parameter whose name begins with triton_")
        if name == "sequence_id" and value not in (0, ""):
            raise Unsupported("parameters.sequence_id: models here keep no state between requests")


def refuse_shared_memory(parameters: Parameters, field: str) -> None:
    """Shared memory is off, and a client that asks for it should learn so."""
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise Unsupported(
                f"{field}.parameters.{name}: shared memory is not offered, send the bytes in the body"
            )


def whole_number(parameters: Parameters, name: str, field: str) -> int:
    """A parameter that counts something; 0 where it is absent."""
    value: Any = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(f"{field}.{name}", value, "a whole number, 0 or more")
    return value


def flag(parameters: Parameters, name: str, field: str) -> bool:
    """A parameter that is true or false; false where it is absent."""
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{field}.{name}", value, "true or false")
    return value
