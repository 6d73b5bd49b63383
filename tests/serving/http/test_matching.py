"""Routes: which paths are the fast path's, what they name, and which of them are remembered."""

import pytest

from inference.errors import InvalidInput
from serving.http.matching import _MAX_ROUTES, Route, Routes, find_route, parse_version


@pytest.mark.parametrize(
    ("path", "verb", "name", "version"),
    [
        ("/v2/models/sum/infer", "infer", "sum", None),
        ("/v2/models/sum/versions/7/infer", "infer", "sum", 7),
        ("/v1/models/sum:predict", "predict", "sum", None),
        ("/v1/models/sum/versions/12:explain", "explain", "sum", 12),
    ],
)
def test_a_path_names_verb_model_and_version(path: str, verb: str, name: str, version: int | None) -> None:
    route = find_route(path)
    assert route is not None
    assert (route.verb, route.name, route.version, route.path) == (verb, name, version, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/sum",
        "/v2/models/sum/versions/0/infer",
        "/v2/models/sum/versions/01/infer",
        "/v2/models/a/b/infer",
        "/v1/models/sum:train",
        "/v2/models/sum/infer/",
    ],
)
def test_other_paths_are_left_to_the_router(path: str) -> None:
    assert find_route(path) is None


def test_a_root_path_may_be_there_or_stripped() -> None:
    routes = Routes("/baton")
    for path in ("/baton/v2/models/sum/infer", "/v2/models/sum/infer"):
        route = routes.find(path)
        assert route is not None
        assert route.name == "sum"
    assert routes.find("/batonic/v2/models/sum/infer") is None


def test_a_route_is_remembered_for_its_path_and_its_url() -> None:
    routes, path = Routes(), "/v2/models/sum/infer"
    route = routes.find_url(path.encode())
    assert route is not None
    assert routes.find(path) is not route
    routes.remember(route)
    assert routes.find(path) is route
    assert routes.find_url(path.encode()) is route


def test_an_escaped_url_or_one_with_a_query_is_left_to_the_router() -> None:
    routes = Routes()
    for url in (b"/v2/models/su%6D/infer", b"/v2/models/sum/infer?x=1", b"/v2/models/\xc3\xa4/infer"):
        assert routes.find_url(url) is None


def test_no_more_routes_are_remembered_than_fit() -> None:
    routes = Routes()
    found = [Route("infer", "sum", None, f"/{place}") for place in range(_MAX_ROUTES + 1)]
    for route in found:
        routes.remember(route)
    assert [route.known for route in found] == [True] * _MAX_ROUTES + [False]
    assert routes.find(found[0].path) is found[0]
    assert routes.find(found[-1].path) is None


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.0", "", "9" * 19, "²"])
def test_a_version_is_a_whole_number_above_0(text: str) -> None:
    with pytest.raises(InvalidInput, match="version: got"):
        parse_version(text)
    assert parse_version("007") == 7
