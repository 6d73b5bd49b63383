"""The page at / and the documentation, which names no address from the root."""

import base64
import hashlib
import re

import httpx
import pytest
from fastapi.openapi.docs import get_swagger_ui_html

from serving.http.routes.pages import page_headers


def test_the_root_is_a_page_for_browsers_and_alive_for_everybody_else(http: httpx.Client) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = http.get("/", headers={"accept": browser})
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Baton</title>" in page.text
    for accept in ("*/*", "application/json", ""):
        told = http.get("/", headers={"accept": accept})
        assert told.json() == {"status": "alive"}  # as KServe's `is_server_live` reads it
        assert told.headers["vary"] == "accept"


def test_the_page_and_the_documentation_name_no_address_from_the_root(http: httpx.Client) -> None:
    page = http.get("/", headers={"accept": "text/html"}).text
    assert not re.findall(r"[\"'`]/(?:v1|v2|docs|metrics|openapi)", page + http.get("/docs").text)


def policy(headers: httpx.Headers | dict[str, str]) -> dict[str, list[str]]:
    parts = [part.split() for part in headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_runs_its_own_script_and_no_other(http: httpx.Client, path: str) -> None:
    page = http.get(path, headers={"accept": "text/html"})
    said = policy(page.headers)
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert scripts
    assert said["script-src"] == [f"'sha256-{digest}'" for digest in digests] + ["'self'"] * (path == "/docs")
    assert said["default-src"] == said["form-action"] == said["frame-ancestors"] == ["'none'"]
    assert said["connect-src"] == ["'self'"]
    assert said["style-src"] == ["'self'" if path == "/docs" else "'unsafe-inline'"]
    assert not re.search(
        r"\son\w+=|javascript:", re.sub(r"<script.*?</script>", "", page.text, flags=re.DOTALL)
    )
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"


def test_documentation_from_other_hosts_names_them_in_its_policy() -> None:
    made = get_swagger_ui_html(openapi_url="openapi.json", title="Baton")
    said = policy(page_headers(bytes(made.body).decode()))
    assert "https://cdn.jsdelivr.net" in said["script-src"]
    assert "https://cdn.jsdelivr.net" in said["style-src"]
    assert "https://fastapi.tiangolo.com" in said["img-src"]
    assert "'unsafe-inline'" not in said["script-src"]
    assert said["connect-src"] == ["'self'"]
