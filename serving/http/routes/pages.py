"""Pages for people: the one at / and the OpenAPI documentation, both without any other host."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from serving.http.routes.documented import Json

OPENAPI = "/openapi.json"
_PAGE = Path(__file__).parent.parent.parent / "page" / "index.html"
_ASSETS = "/docs/assets"
_HEAD = "<head>"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = "<style>"
_FOREIGN = re.compile(r"(?:src|href)=\"(https://[^\"]+)")


def page_routes(root_path: str) -> APIRouter:
    """The page on which a person sees the models and tries one; `root_path`: where a proxy has the server, or ""."""
    router = APIRouter(include_in_schema=False)
    page = _PAGE.read_text(encoding="utf-8")
    # The page's addresses are relative, and a proxy may have it at a path without a slash at its end.
    page = page.replace(_HEAD, f'{_HEAD}\n<base href="{root_path}/">', 1) if root_path else page
    headers = {"vary": "accept", **page_headers(page)}

    @router.get("/")
    async def root(request: Request) -> Response:
        """The page for clients that ask for HTML, as browsers do; KServe's liveness for all others."""
        if "text/html" in request.headers.get("accept", "").lower():
            return HTMLResponse(page, headers=headers)
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

    folder = _ASSETS.removeprefix("/")
    urls: dict[str, Any] = {
        "swagger_js_url": f"{folder}/swagger-ui-bundle.js",
        "swagger_css_url": f"{folder}/swagger-ui.css",
        "swagger_favicon_url": f"{folder}/favicon.png",
    }
    made = get_swagger_ui_html(openapi_url=openapi, title=app.title, **({} if assets is None else urls))
    page = bytes(made.body).decode()
    headers = page_headers(page)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)


def page_headers(page: str) -> dict[str, str]:
    """The headers of a page of ours, which keep it to itself.

    It talks to this server alone. Its own script runs, known by its digest, and no other that somebody gets into it.
    Files of other hosts are taken from those that it names.
    """
    hosts = sorted({f"https://{urlsplit(url).netloc}" for url in _FOREIGN.findall(page)})
    policy = {
        "default-src": ["'none'"],
        "script-src": [*_digests(page), *_files(page, hosts)],
        # The page at / sets styles of single elements; by the rest of the policy they can send nothing.
        "style-src": ["'unsafe-inline'"] if _STYLE in page else ["'self'", *hosts],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:", *hosts],
        "base-uri": ["'self'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return {
        "cache-control": "no-cache",
        "content-security-policy": "; ".join(f"{name} {' '.join(of)}" for name, of in policy.items()),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",  # for browsers without frame-ancestors
    }


def _digests(page: str) -> list[str]:
    """The sources that let the scripts run which stand in the page, and no other."""
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _SCRIPT.findall(page)
    ]


def _files(page: str, hosts: Sequence[str]) -> list[str]:
    """The sources of scripts in files, for a page that has some."""
    return ["'self'", *hosts] if "<script src=" in page else []


def _assets() -> Path | None:
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "static"
    return folder if folder.is_dir() else None
