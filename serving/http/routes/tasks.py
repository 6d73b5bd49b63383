"""Prediction by task, KServe's v1 verbs, as the router and OpenAPI know them; see `serving.http.fast_path`."""

from typing import Any

from fastapi import APIRouter, Request, Response

from inference.errors import Unsupported
from serving.http.fast_path import FastPath
from serving.http.matching import Route, parse_version
from serving.http.routes.documented import Version, shows, takes
from serving.http.routes.predictions import delegate

_ANSWER = {"predictions": [{"label": "Sneaker", "probability": 0.97, "probabilities": {"Sneaker": 0.97}}]}
_EXPLANATION = {
    "explanations": [
        {
            "label": "Sneaker",
            "probability": 0.97,
            "shape": [2, 2],
            "region": [0.0, 0.0, 1.0, 1.0],
            "drops": [[0.0, 0.02], [0.31, 0.64]],
            "strongest": 0.64,
        }
    ]
}
_IMAGE = {"b64": "iVBORw0KGgo…"}
_INSTANCES = {
    "type": "object",
    "required": ["instances"],
    "properties": {"instances": {"type": "array", "minItems": 1}, "parameters": {"type": "object"}},
}
_PREDICTIONS = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array"}},
}
_EXPLANATIONS = {
    "type": "object",
    "required": ["explanations"],
    "properties": {"explanations": {"type": "array"}},
}
_ERRORS = (400, 401, 404, 413, 415, 429, 501, 503, 504)


def task_routes(fast_path: FastPath) -> APIRouter:
    """`POST …:predict` and `:explain`, with and without a version."""
    router = APIRouter(tags=["prediction"])
    shown = shows(_ANSWER, *_ERRORS, schema=_PREDICTIONS)
    explained = shows(_EXPLANATION, *_ERRORS, schema=_EXPLANATIONS)
    raw: dict[str, Any] = {"png": "the bytes of a picture", "text": "a text", "form": "one or more files"}
    body = takes(_INSTANCES, json={"instances": [_IMAGE]}, **raw)
    asked = takes(_INSTANCES, json={"instances": [_IMAGE], "parameters": {"grid": 7}}, **raw)

    @router.post("/v1/models/{name}:predict", responses=shown, openapi_extra=body)
    async def predict(name: str, request: Request) -> Response:
        """Predict from instances: JSON, or a raw body of the task's own media type, or a form upload."""
        return await delegate(fast_path, Route("predict", name, None), request)

    @router.post("/v1/models/{name}/versions/{version}:predict", responses=shown, openapi_extra=body)
    async def predict_version(name: str, version: Version, request: Request) -> Response:
        """The same for one version."""
        return await delegate(fast_path, Route("predict", name, parse_version(version)), request)

    @router.post("/v1/models/{name}:explain", responses=explained, openapi_extra=asked)
    async def explain(name: str, request: Request) -> Response:
        """The parts of each instance that speak for its answer: the drop when a cell, a word or an item is left out.

        A drop of 0.02 is 2 points of the label's probability. `drops` of an image: by cell of a grid over `region`
        of it (left, top, right, bottom as shares of its sides), and the `strongest` of them. `words` of a text: with
        their characters' places. `history` of a recommendation: for its best item.
        """
        return await delegate(fast_path, Route("explain", name, None), request)

    @router.post("/v1/models/{name}/versions/{version}:explain", responses=explained, openapi_extra=asked)
    async def explain_version(name: str, version: Version, request: Request) -> Response:
        """The same for one version."""
        return await delegate(fast_path, Route("explain", name, parse_version(version)), request)

    @router.post("/v1/models/{name}:{verb}", include_in_schema=False)
    async def another(name: str, verb: str) -> Response:
        """TensorFlow Serving's other verbs, `:classify` and `:regress`."""
        raise Unsupported(f"verb: got ':{verb}' of model '{name}', expected :predict or :explain")

    return router
