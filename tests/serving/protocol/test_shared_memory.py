"""2.9 Shared memory, which is off."""

import httpx

from serving.http.routes.models import EXTENSIONS
from tests.serving.protocol.wire import echo, infer, refused


def test_shared_memory_is_off_and_says_so(http: httpx.Client) -> None:
    for kind in ("system", "cuda"):
        base = f"/v2/{kind}sharedmemory"
        assert http.get(f"{base}/status").json() == []
        assert http.get(f"{base}/region/r/status").json() == []
        for path in (f"{base}/unregister", f"{base}/region/r/unregister"):
            answer = http.post(path)
            assert (answer.status_code, answer.content) == (200, b"")
        refused(http.post(f"{base}/region/r/register", json={"key": "/k", "offset": 0, "byte_size": 8}), 501)


def test_shared_memory_is_not_named_among_the_extensions() -> None:
    assert not [name for name in EXTENSIONS if "shared_memory" in name]


def test_tensors_in_shared_memory_are_refused(http: httpx.Client) -> None:
    region = {"shared_memory_region": "r", "shared_memory_byte_size": 8, "shared_memory_offset": 0}
    body = echo([1, 2])
    del body["inputs"][0]["data"]
    body["inputs"][0]["parameters"] = region
    refused(infer(http, "flex", body), 501, "inputs[0].parameters.shared_memory_region")
    body = echo([1, 2], outputs=[{"name": "y", "parameters": region}])
    refused(infer(http, "flex", body), 501, "outputs[0].parameters.shared_memory_region")
