"""Pages for people: the one at / and the OpenAPI documentation, both without any other host."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from serving.http.routes.documented import Json

OPENAPI = "/openapi.json"
_PAGE = Path(__file__).parent.parent.parent / "page" / "index.html"
_ASSETS = "/docs/assets"
_HEAD = "<head>"
_HEADERS = {
    "cache-control": "no-cache",
    "vary": "accept",
    # The page talks to this server alone, and runs nothing that came from anywhere else.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob: data:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
}


def page_routes(root_path: str) -> APIRouter:
    """The page on which a person sees the models and tries one; `root_path`: where a proxy has the server, or ""."""
    router = APIRouter(include_in_schema=False)
    page = _PAGE.read_text(encoding="utf-8")
    # The page's addresses are relative, and a proxy may have it at a path without a slash at its end.
    page = page.replace(_HEAD, f'{_HEAD}\n<base href="{root_path}/">', 1) if root_path else page

    @router.get("/")
    async def root(request: Request) -> Response:
        """The page for clients that ask for HTML, as browsers do; KServe's liveness for all others."""
        if "text/html" in request.headers.get("accept", "").lower():
            return HTMLResponse(page, headers=_HEADERS)
        return Json({"status": "alive"}, headers={"vary": "accept"})

    return router


def add_docs(app: FastAPI) -> None:
    """Swagger UI at /docs, its assets from the package `fastapi-offline` if that is installed, else from its CDN.

    Addresses are relative, so that it works under any path.
    """
    assets = _assets()
    openapi = OPENAPI.removeprefix("/")
    if assets is not None:
        app.mount(_ASSETS, StaticFiles(directory=assets))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        if assets is None:
            return get_swagger_ui_html(openapi_url=openapi, title=app.title)
        folder = _ASSETS.removeprefix("/")
        return get_swagger_ui_html(
            openapi_url=openapi,
            title=app.title,
            swagger_js_url=f"{folder}/swagger-ui-bundle.js",
            swagger_css_url=f"{folder}/swagger-ui.css",
            swagger_favicon_url=f"{folder}/favicon.png",
        )


def _assets() -> Path | None:
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "static"
    return folder if folder.is_dir() else None
