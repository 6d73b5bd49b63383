"""KServe's own client against the server at argv[1]; prints what it was told, as JSON.

argv[2] is a picture; it runs by the interpreter that has KServe's SDK.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

TYPES = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT16": np.array([[0, 65535]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "FP16": np.array([[-1.5, 65504]], np.float16),
    "FP32": np.array([[-1.5, 0.1]], np.float32),
    "FP64": np.array([[-1.5, 0.1]], np.float64),
    "BYTES": np.array([["", "naïve"]], np.object_),
}


async def v1(url: str, picture: bytes) -> dict[str, Any]:
    """The first protocol: predictions and explanations."""
    body = {"instances": [{"b64": base64.b64encode(picture).decode()}] * 2}
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        return {
            "live": await told_by(client.is_server_live(url)),
            "ready": await told_by(client.is_model_ready(url, "brightness")),
            "unknown": await told_by(client.is_model_ready(url, "unknown")),
            "predicted": await told_by(client.infer(url, body, model_name="brightness")),
            "explained": await told_by(client.explain(url, "brightness", body)),
            "refused": await told_by(client.infer(url, {"instances": [7]}, model_name="brightness")),
        }


async def v2(url: str) -> dict[str, Any]:
    """The second: tensors of every datatype, as JSON and as bytes."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        told: dict[str, Any] = {
            "live": await told_by(client.is_server_live(url)),
            "ready": await told_by(client.is_server_ready(url)),
            "model": [await told_by(client.is_model_ready(url, name)) for name in ("sum", "unknown")],
            "refused": await told_by(
                client.infer(url, request("sum", {"x": np.zeros((1, 3), np.float32)}), model_name="sum")
            ),
        }
        for binary in (False, True):
            asked = request("types", {f"in_{name}": array for name, array in TYPES.items()}, binary)
            answer = await told_by(client.infer(url, asked, model_name="types"))
            told["binary" if binary else "json"] = answer if isinstance(answer, str) else compared(answer)
        return told


def compared(answer: Any) -> dict[str, Any]:
    """Which datatypes came as they were sent, and what the answer is called."""
    found = {
        name: same(answer.get_output_by_name(f"out_{name}").as_numpy(), array)
        for name, array in TYPES.items()
    }
    return {"types": found, "names": [answer.id, answer.model_name]}


def request(model: str, tensors: dict[str, Any], binary: bool = False) -> InferRequest:
    """As its documentation makes one."""
    inputs = []
    for name, array in tensors.items():
        made = InferInput(
            name, list(array.shape), name.removeprefix("in_") if name.startswith("in_") else "FP32"
        )
        made.set_data_from_numpy(
            array, binary_data=binary or array.dtype == np.float16
        )  # which it sends as bytes only
        inputs.append(made)
    parameters = {"binary_data_output": True} if binary else None
    return InferRequest(model, inputs, request_id="seven", parameters=parameters)


def same(got: Any, expected: Any) -> bool:
    """Whether it is what was sent, which texts may have become bytes."""
    texts = [each.decode() if isinstance(each, bytes) else each for each in got.ravel().tolist()]
    return bool(got.shape == expected.shape and texts == expected.ravel().tolist())


async def told_by(asked: Any) -> Any:
    """The answer, or what an error says."""
    try:
        return await asked
    except Exception as error:
        return repr(error)


async def main(url: str, picture: bytes) -> None:
    """Ask everything."""
    print(json.dumps({"v1": await v1(url, picture), "v2": await v2(url)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
