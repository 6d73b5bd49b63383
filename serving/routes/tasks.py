"""Prediction by task, KServe's v1 verbs, as the router and OpenAPI know them; see `serving.hotlane`."""

from fastapi import APIRouter, Request, Response

from inference.errors import Unsupported
from serving.hotlane import HotLane
from serving.registry import ModelRegistry
from serving.routes.documented import shows, takes
from serving.routes.predictions import delegate
from serving.targets import Target, parse_version

_ANSWER = {"predictions": [{"label": "Sneaker", "probability": 0.97, "probabilities": {"Sneaker": 0.97}}]}
_ERRORS = (400, 404, 413, 415, 429, 501, 503, 504)


def task_routes(lane: HotLane, registry: ModelRegistry) -> APIRouter:
    """`POST …:predict`, with and without a version, and `:explain`, which is not offered yet."""
    router = APIRouter(tags=["prediction"])
    shown = shows(_ANSWER, *_ERRORS)
    body = takes(
        json={"instances": [{"b64": "iVBORw0KGgo…"}]},
        png="the bytes of a picture",
        text="a text",
        form="one or more files",
    )

    @router.post("/v1/models/{name}:predict", responses=shown, openapi_extra=body)
    async def predict(name: str, request: Request) -> Response:
        """Predict from instances: JSON, or a raw body of the task's own media type, or a form upload."""
        return await delegate(lane, Target("predict", name, None), request)

    @router.post("/v1/models/{name}/versions/{version}:predict", responses=shown, openapi_extra=body)
    async def predict_version(name: str, version: str, request: Request) -> Response:
        """The same for one version."""
        return await delegate(lane, Target("predict", name, parse_version(version)), request)

    @router.post(
        "/v1/models/{name}:explain", responses=shows({"explanations": []}, 404, 501), openapi_extra=body
    )
    async def explain(name: str) -> Response:
        """Explanations are not offered yet."""
        registry.get(name)
        raise Unsupported(":explain is not offered by this server")

    return router
