"""The page at / and the documentation, which names no address from the root."""

import re

import httpx


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
