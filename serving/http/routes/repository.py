"""The repository extension, and the answers that clients expect of shared memory, which is off."""

from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from inference.errors import InvalidInput, Unsupported, counted
from serving.access.administration import Administration
from serving.engine.group import Group
from serving.engine.served_model import ModelState
from serving.http.admission import arrived_at, client_of
from serving.http.routes.documented import ADMIN_TOKEN, Json, shows, takes

_READY = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
_INDEX = [{"name": "tiny", "version": "1", "state": "READY", "reason": ""}]


def repository_routes(group: Group, administration: Administration) -> APIRouter:
    """Index for all; load and unload for those whom `administration` admits."""
    router = APIRouter(tags=["repository"])

    async def admit(request: Request) -> None:
        scope = request.scope
        await administration.admit(dict(scope["headers"]), arrived_at(scope), client_of(scope))

    admitted = [Depends(admit), *([ADMIN_TOKEN] if administration.has_token else [])]

    @router.post(
        "/v2/repository/index",
        responses=shows(_INDEX, 400),
        openapi_extra=takes(_READY, required=False, json={"ready": True}),
    )
    async def index(request: Request) -> Response:
        """Every version known, with its state and, where it was refused, the reason."""
        only_ready = (await _options(request)).get("ready") is True
        return Json(
            [
                {
                    "name": entry.name,
                    "version": str(entry.version),
                    "state": entry.state,
                    "reason": entry.reason,
                }
                for entry in await group.index()
                if not only_ready or entry.state is ModelState.READY
            ]
        )

    @router.post(
        "/v2/repository/models/{name}/load",
        responses=shows(None, 400, 401, 403, 404, 409, 429, 503),
        response_class=Response,
        openapi_extra=takes({"type": "object"}, required=False, json={}),
        dependencies=admitted,
    )
    async def load(name: str, request: Request) -> Response:
        """Load a model as it is on disk now; answers when it serves. Configurations are not taken.

        A version that has not changed stays; one that is refused is answered with the reason: 409 where the model
        answers as before, 503 where it does not answer.
        """
        parameters = (await _options(request)).get("parameters")
        if parameters:
            raise InvalidInput("parameters", parameters, "none: a model is what its folder says")
        await group.load(name)
        return Response()

    @router.post(
        "/v2/repository/models/{name}/unload",
        responses=shows(None, 400, 401, 403, 404, 429, 503),
        response_class=Response,
        openapi_extra=takes({"type": "object"}, required=False, json={}),
        dependencies=admitted,
    )
    async def unload(name: str) -> Response:
        """Stop serving a model; answers when its last request has."""
        await group.unload(name)
        return Response()

    async def named(repository: str) -> Response:
        """The protocol lets a server have several repositories; this one has one, without a name."""
        raise Unsupported(
            f"repositories have no names here: /v2/repository/… and not /v2/repository/{repository}/…"
        )

    for path in ("index", "models/{name}/load", "models/{name}/unload"):
        router.post(f"/v2/repository/{{repository}}/{path}", include_in_schema=False)(named)
    return router


async def _options(request: Request) -> dict[str, Any]:
    """The body, which may be missing; its media type is not looked at, since Triton's client names none."""
    body = await request.body()
    try:
        options = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidInput("body", f"{counted(len(body), 'byte')} ({error})", "JSON") from None
    if not isinstance(options, dict):
        raise InvalidInput("body", options, "an object")
    return options


def shared_memory_routes() -> APIRouter:
    """No region is ever there: an empty status, nothing to unregister, and no way to register."""
    router = APIRouter(tags=["shared memory"])

    async def status() -> Response:
        """No shared memory is registered."""
        return Json([])

    async def unregister() -> Response:
        """There is nothing to unregister, which clients ask for before they begin."""
        return Response()

    async def register() -> Response:
        """Shared memory is not offered."""
        raise Unsupported("shared memory is not offered, send the bytes in the body")

    for kind in ("system", "cuda"):
        base = f"/v2/{kind}sharedmemory"
        for path, name in ((base, kind), (f"{base}/region/{{region}}", f"{kind}_region")):
            router.get(f"{path}/status", responses=shows([]), operation_id=f"{name}_status")(status)
            router.post(
                f"{path}/unregister",
                responses=shows(None),
                response_class=Response,
                operation_id=f"{name}_unregister",
            )(unregister)
        router.post(
            f"{base}/region/{{region}}/register",
            responses=shows(None, 501),
            response_class=Response,
            operation_id=f"{kind}_region_register",
        )(register)
    return router
