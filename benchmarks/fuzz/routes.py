"""Every operation that OpenAPI declares, called by Schemathesis: with and without the token, rightly and wrongly.

An answer has a status and a media type that its operation declares, its JSON is as declared, and none is a 500. The
server runs on a copy of the models, since `load` and `unload` are called too.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.faults.bench import Bench, Server
from benchmarks.fuzz.watch import Report, Watch
from benchmarks.fuzz.world import ADMIN, MODELS, write_small_models

SHIPPED = ("fashion", "retail", "reviews")
_NAMES = (None, *SHIPPED, "tiny", "flex", "broken", "none", "full")
_VERSIONS = (None, "1", "2", "3", "01")
_TOKENS = (None, f"Bearer {ADMIN}", "Bearer another", ADMIN, "")
_BODIES: tuple[Any, ...] = (
    {"instances": ["a good book"]},
    {"instances": [{"history": ["22423", "84879"]}], "parameters": {}},
    {"instances": ["x"], "parameters": {"grid": 3}},
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],
        "outputs": [{"name": "y"}],
    },
    {"ready": True},
    {},
)
"""Bodies that some operation takes, beside those that its schema leads to."""
_CHECKS: list[Any] = [status_code_conformance, content_type_conformance, response_schema_conformance]
_DECLARED = (501, 503, 504)
_EVERY_HEALTH_CHECK = list(hypothesis.HealthCheck)
_TRACEBACK = "Traceback (most recent call last)"

Call = Callable[[Case[Any], str | None], None]


def write_models(folder: Path) -> Path:
    """Copies of shipped models beside small ones, one of which cannot be loaded."""
    write_small_models(folder)
    for name in SHIPPED:
        shutil.copytree(MODELS / name, folder / name)
    return folder


def operations(url: str) -> Iterator[tuple[str, Any]]:
    """Each operation that the server declares, by its name."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        yield operation.label, operation


def fault(url: str, case: Case[Any], token: str | None) -> tuple[int, str]:
    """The status of a call, and what its answer did that none may; "" for nothing."""
    headers = {} if token is None else {"Authorization": token}
    answer = case.call(base_url=url, headers=headers)
    if answer.status_code >= 500 and answer.status_code not in _DECLARED:
        return answer.status_code, f"answered {answer.status_code}: {answer.content!r}"
    try:
        case.validate_response(answer, checks=_CHECKS)
    except Exception as error:
        return answer.status_code, f"{error!r}: {getattr(error, 'exceptions', '')} {answer.content[:200]!r}"
    return answer.status_code, ""


def search(url: str, examples: int, seed: int, watch: Watch) -> int:
    """Call each operation about `examples` times; `watch` is told of each call. Returns how many there were."""
    calls = 0
    for label, operation in operations(url):
        wrong = (GenerationMode.NEGATIVE,) if _can_be_wrong(operation) else ()
        for mode in (GenerationMode.POSITIVE, *wrong):

            def call(case: Case[Any], token: str | None, label: str = label) -> None:
                nonlocal calls
                status, said = fault(url, case, token)
                watch.count(str(status))
                watch.done(calls)
                if said:
                    watch.fault(calls, f"{label}: {said}\n{case.as_curl_command()}")
                calls += 1

            _generate(operation.as_strategy(generation_mode=mode), examples // 2, seed, call)
    return calls


def _generate(cases: st.SearchStrategy[Case[Any]], examples: int, seed: int, call: Call) -> None:
    """Have `call` called with so many cases, some of whose parts are exchanged for those that a server knows."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(1, examples),
        database=None,
        deadline=None,
        suppress_health_check=_EVERY_HEALTH_CHECK,
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(
        cases,
        st.sampled_from(_NAMES),
        st.sampled_from(_VERSIONS),
        st.sampled_from(_TOKENS),
        st.sampled_from((None, None, *_BODIES)),
    )
    def run(case: Case[Any], name: str | None, version: str | None, token: str | None, body: Any) -> None:
        for key, known in (("name", name), ("version", version)):
            if known is not None and key in (case.path_parameters or {}):
                case.path_parameters[key] = known
        if body is not None and case.media_type == "application/json":
            case.body = body
        call(case, token)

    run()


def _can_be_wrong(operation: Any) -> bool:
    """Whether an operation declares anything that a call may break: a body, or what a part of its path is."""
    return bool(operation.body) or any(
        "pattern" in each.definition["schema"] for each in operation.path_parameters
    )


def run(examples: int, seed: int) -> Report:
    """Call every operation of a server of its own, whose memory is watched."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        bench = Bench(Path(folder))
        models = write_models(Path(folder, "models"))
        with bench.serve(models, env={"BATON_ADMIN_TOKEN": ADMIN}) as server:
            return _watched(server, examples, seed)


def _watched(server: Server, examples: int, seed: int) -> Report:
    url = f"http://127.0.0.1:{server.port}"
    count = sum(1 for _ in operations(url))
    watch = Watch(0, count * examples, server.rss_bytes)
    calls = search(url, examples, seed, watch)
    if _TRACEBACK in server.log():
        watch.fault(calls, server.log().partition(_TRACEBACK)[2][:2000])
    return watch.report(calls)
