"""What people look at: the page at / and the OpenAPI documentation, both without any other host."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

OPENAPI = "/openapi.json"
_PAGE = Path(__file__).parent.parent / "page" / "index.html"
_ASSETS = "/docs/assets"
_HEADERS = {
    "cache-control": "no-cache",
    # The page talks to this server alone, and runs nothing that came from anywhere else.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def page_routes() -> APIRouter:
    """The page on which a person sees the models and tries one."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return FileResponse(_PAGE, media_type="text/html", headers=_HEADERS)

    return router


def add_docs(app: FastAPI) -> None:
    """Swagger UI at /docs, its assets from the package `fastapi-offline` if that is installed, else from its CDN."""
    assets = _assets()
    if assets is not None:
        app.mount(_ASSETS, StaticFiles(directory=assets))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        if assets is None:
            return get_swagger_ui_html(openapi_url=OPENAPI, title=app.title)
        return get_swagger_ui_html(
            openapi_url=OPENAPI,
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )


def _assets() -> Path | None:
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "static"
    return folder if folder.is_dir() else None
