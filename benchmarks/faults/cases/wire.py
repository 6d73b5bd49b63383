"""Bytes on the wire: the fast path and uvicorn's own way must agree."""

import json

from benchmarks.faults.bench import Bench, statuses
from benchmarks.faults.matrix import case, expect

_BODY = json.dumps({"instances": ["a good book"]}).encode()


@case("`\\r\\n` before a request that is cut off, then before a good one on another connection", "200")
def empty_lines_before_a_request(bench: Bench) -> str:
    path = b"POST /v1/models/reviews:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with bench.serve(bench.models("reviews")) as server:
        with server.connect() as cut:
            cut.sendall(b"\r\n\r\n" + path + b"Content-Length: 1000000\r\n\r\n" + b"x" * 10)
        good = path + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
        seen = [statuses(server.raw(b"\r\n\r\n" + good)) for _ in range(3)]
        expect(seen == [[200]] * 3, f"statuses {seen}")
        return "200 three times"
