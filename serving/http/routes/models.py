"""The served models: the server's and the models' metadata, configuration, statistics and measured profile."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from serving.access.administration import Administration
from serving.engine.description import config, metadata
from serving.engine.diagnostics import SERVER_NAME, server_version
from serving.engine.group import Group
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ServedModel
from serving.http.admission import arrived_at, client_of
from serving.http.matching import parse_version
from serving.http.routes.documented import Json, Version, shows

# Only those that are implemented: perf_analyzer, for one, asks for each that it finds here.
EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
]
_TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 64]}
_METADATA = {
    "name": "tiny",
    "versions": ["1"],
    "platform": "onnxruntime_onnx",
    "inputs": [_TENSOR],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 10]}],
}
_STATS = {"model_stats": [{"name": "tiny", "version": "1", "inference_count": 42, "execution_count": 12}]}
_CONFIG = {"name": "tiny", "platform": "onnxruntime_onnx", "max_batch_size": 64, "dynamic_batching": {}}
_PROFILE = {
    "plan": {
        "inline": True,
        "concurrent_runs": 1,
        "instances": 1,
        "max_batch_size": 64,
        "max_pending_rows": 4096,
    },
    "profile": {"points": [{"threads": 1, "runs": 1, "rows": 1, "seconds": 2e-05}]},
}

Tell = Callable[[ServedModel], Any]
Ask = Callable[[ServedModel], Awaitable[Any]]


def model_routes(registry: ModelRegistry, group: Group, administration: Administration) -> APIRouter:
    """Everything under GET /v2 that is not health, and /v1/models."""
    router = APIRouter(tags=["models"])

    def versions(name: str) -> list[int]:
        return [model.version for model in registry.served() if model.name == name]

    def both(suffix: str, ask: Ask, summary: str, example: Any) -> None:
        """The same answer with and without a version in the path."""

        async def newest(name: str) -> Response:
            return Json(await ask(registry.get(name)))

        async def exactly(name: str, version: Version) -> Response:
            return Json(await ask(registry.get(name, parse_version(version))))

        slug = suffix.strip("/") or "metadata"
        shown, of_one = shows(example, 404, 503), shows(example, 400, 404, 503)
        router.get(
            f"/v2/models/{{name}}{suffix}",
            summary=summary,
            responses=shown,
            operation_id=f"model_{slug}",
        )(newest)
        router.get(
            f"/v2/models/{{name}}/versions/{{version}}{suffix}",
            summary=f"{summary}, of one version",
            responses=of_one,
            operation_id=f"version_{slug}",
        )(exactly)

    @router.get("/v2/", include_in_schema=False)
    @router.get("/v2", responses=shows({"name": "baton", "version": "0.1.0", "extensions": EXTENSIONS}))
    async def server_metadata() -> Response:
        """The server's name, version and the protocol's extensions that it offers."""
        return Json({"name": SERVER_NAME, "version": server_version(), "extensions": EXTENSIONS})

    @router.get("/v2/diagnostics", responses=shows({"cpus": 2, "cpu_quota": 2.0, "models": []}, 403))
    async def diagnostics(request: Request) -> Response:
        """The settings really in force: quota, threads, providers, digests, plans."""
        administration.check_listener(arrived_at(request.scope), client_of(request.scope))
        return Json(await group.diagnostics())

    @router.get("/v2/models", responses=shows({"models": ["tiny"]}))
    async def list_models() -> Response:
        """The names of the models that answer."""
        return Json({"models": _names(registry)})

    @router.get("/v2/models/stats", responses=shows(_STATS))
    async def every_statistics() -> Response:
        """Statistics of every version that answers."""
        return Json({"model_stats": await group.statistics()})

    async def its_statistics(model: ServedModel) -> dict[str, Any]:
        known = (model.name, str(model.version))
        return {
            "model_stats": [one for one in await group.statistics() if (one["name"], one["version"]) == known]
        }

    both("", _here(lambda model: metadata(model, versions(model.name))), "Model metadata", _METADATA)
    both(
        "/ready",
        _here(lambda model: {"name": model.name, "ready": True}),
        "Whether the model answers",
        {"name": "tiny", "ready": True},
    )
    both("/config", _here(config), "Model configuration", _CONFIG)
    both("/stats", its_statistics, "Statistics", _STATS)
    both("/profile", _here(_profile), "The cost of a run here, and the plan made from it", _PROFILE)

    @router.get("/v1/models", responses=shows({"models": ["fashion"]}))
    async def list_tasks() -> Response:
        """The names of the models that answer, as KServe's v1 protocol lists them."""
        return Json({"models": _names(registry)})

    @router.get("/v1/models/{name}", responses=shows({"name": "fashion", "ready": True}, 404))
    async def task_ready(name: str) -> Response:
        """Whether the model answers, with its task."""
        model = registry.get(name)
        manifest = model.manifest
        evaluation = manifest.graphs[model.predictor.precision].evaluation
        return Json(
            {
                "name": name,
                "ready": True,
                "version": model.version,
                "task": manifest.task,
                "description": manifest.description,
                "architecture": manifest.architecture,
                "media_types": list(model.predictor.processor.media_types),
                "metrics": {} if evaluation is None else evaluation.metrics,
            }
        )

    return router


def _here(tell: Tell) -> Ask:
    """An answer that every process can give, so that no other need be asked."""

    async def told(model: ServedModel) -> Any:
        return tell(model)

    return told


def _names(registry: ModelRegistry) -> list[str]:
    return sorted({model.name for model in registry.served()})


def _profile(model: ServedModel) -> dict[str, Any]:
    return {"plan": model.batcher.plan.as_json(), "profile": model.profile.model_dump()}
