"""Whether the server lives, whether it should be sent requests, and what it measures of itself."""

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serving.lifecycle import Lifecycle
from serving.registry import ModelRegistry
from serving.routes.documented import Json, shows


def health_routes(
    registry: ModelRegistry, lifecycle: Lifecycle, metrics: CollectorRegistry, *, strict: bool
) -> APIRouter:
    """`strict`: ready only if every model answers."""
    router = APIRouter(tags=["health"])

    async def live() -> Response:
        """The process answers. It stays so while it drains, or Kubernetes would kill what is under way."""
        return Json({"live": True})

    async def ready() -> Response:
        """Whether to send requests: every model proved and serving, and no stop announced."""
        if lifecycle.draining:
            return Json({"ready": False, "error": "the server is draining"}, 503)
        problems = registry.problems()
        if registry.ready() or (not strict and registry.served()):
            return Json({"ready": True})
        said = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
        return Json({"ready": False, "error": said or "no model is served", "models": problems}, 503)

    async def scrape() -> Response:
        """Prometheus metrics: a histogram for each stage, and Triton's names as aliases."""
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    router.get("/v2/health/live", responses=shows({"live": True}))(live)
    router.get("/v2/health/ready", responses=shows({"ready": True}, 503))(ready)
    router.head("/v2/health/live", include_in_schema=False)(live)
    router.head("/v2/health/ready", include_in_schema=False)(ready)
    example = 'baton_requests_total{model="fashion",outcome="success",version="1"} 42.0\n'
    router.get("/metrics", responses=shows(example, media_type="text/plain"))(scrape)
    return router
