"""Triton's schema: the messages are those of its own client."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import tritonclient

from inference.triton.schema import config_message


def triton_message() -> Any:
    """Triton's own messages, as its client has them; loaded from their file, since the package around it wants grpc."""
    pytest.importorskip(
        "google.protobuf.runtime_version", reason="the client's messages want a newer protobuf"
    )
    path = Path(str(tritonclient.__file__)).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("triton_model_config", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ModelConfig


def drawn(message: Any, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tree of a message's fields, without the names of its types."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.containing_oneof is not None,
            field.enum_type and [(value.name, value.number) for value in field.enum_type.values],
            field.message_type and drawn(field.message_type, (*above, field.name)),
        )
        for field in message.fields
    }


def test_the_fields_are_those_of_tritons_own_client() -> None:
    theirs = triton_message().DESCRIPTOR
    assert drawn(config_message().DESCRIPTOR) == drawn(theirs)
