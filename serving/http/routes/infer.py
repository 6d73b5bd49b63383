"""Inference over tensors, as the router and OpenAPI know it; the fast path answers it before it comes here."""

from fastapi import APIRouter, Request, Response

from serving.http.fast_path import FastPath
from serving.http.matching import Route, parse_version
from serving.http.routes.documented import Version, shows, takes
from serving.http.routes.predictions import delegate

_REQUEST = {
    "id": "42",
    "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0.5, 1, 2]}],
    "outputs": [{"name": "y"}],
}
_ANSWER = {
    "model_name": "sum",
    "model_version": "1",
    "id": "42",
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [3.5]}],
}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "parameters": _PARAMETERS,
        "data": {"type": "array"},
    },
}
_REQUEST_SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "minItems": 1, "items": _TENSOR},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
            },
        },
    },
}
_ANSWER_SCHEMA = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
_BINARY = "the JSON part, then the bytes of each binary tensor"
_ERRORS = (400, 401, 404, 413, 415, 429, 501, 503, 504)


def infer_routes(fast_path: FastPath) -> APIRouter:
    """`POST …/infer`, with and without a version."""
    router = APIRouter(tags=["inference"])
    shown = shows(_ANSWER, *_ERRORS, schema=_ANSWER_SCHEMA, octets=_BINARY)
    body = takes(_REQUEST_SCHEMA, json=_REQUEST, octets=_BINARY)

    @router.post("/v2/models/{name}/infer", responses=shown, openapi_extra=body)
    async def infer(name: str, request: Request) -> Response:
        """Run tensors through a model: Open Inference Protocol v2, JSON or the binary tensor extension."""
        return await delegate(fast_path, Route("infer", name, None), request)

    @router.post("/v2/models/{name}/versions/{version}/infer", responses=shown, openapi_extra=body)
    async def infer_version(name: str, version: Version, request: Request) -> Response:
        """The same for one version."""
        return await delegate(fast_path, Route("infer", name, parse_version(version)), request)

    return router
