"""Whether the server lives, whether it should be sent requests, and its metrics."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from serving.engine.group import Collected, Group
from serving.http.routes.documented import Json, shows
from serving.lifecycle import Lifecycle

ChooseFormat = Callable[[str], tuple[Callable[[Collected], bytes], str]]
"""The encoder of the metrics for an Accept header, and the media type of its text."""


def health_routes(group: Group, lifecycle: Lifecycle, choose_format: ChooseFormat) -> APIRouter:
    """The probes and the metrics."""
    router = APIRouter(tags=["health"])

    async def live() -> Response:
        """The process answers, and no run of a graph is stuck in it.

        It stays so while it drains, or Kubernetes would kill requests under way.
        """
        if not lifecycle.draining and (reason := group.stuck()):
            return Json({"live": False, "error": reason}, 503)
        return Json({"live": True})

    async def ready() -> Response:
        """Whether to send requests: each model that has served serves (all, if strict), and no stop is announced."""
        if lifecycle.draining:
            return Json({"ready": False, "error": "the server is draining"}, 503)
        if group.ready():
            return Json({"ready": True})
        problems = group.problems()
        said = "; ".join((*(f"{name}: {reason}" for name, reason in problems.items()), *group.missing()))
        return Json({"ready": False, "error": said or "no model is served", "models": problems}, 503)

    async def scrape(request: Request) -> Response:
        """Prometheus metrics: a histogram for each stage, and Triton's names as aliases."""
        encode, content_type = choose_format(", ".join(request.headers.getlist("accept")))
        return Response(encode(await group.metrics()), media_type=content_type)

    router.get("/v2/health/live", responses=shows({"live": True}, 503))(live)
    router.get("/v2/health/ready", responses=shows({"ready": True}, 503))(ready)
    router.head("/v2/health/live", include_in_schema=False)(live)
    router.head("/v2/health/ready", include_in_schema=False)(ready)
    example = 'baton_requests_total{model="fashion",outcome="success",version="1"} 42.0\n'
    router.get(
        "/metrics", response_class=PlainTextResponse, responses=shows(example, media_type="text/plain")
    )(scrape)
    return router
