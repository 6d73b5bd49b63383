"""`wrk` (Debian's) as load generator where `baton bench`, which is Python, would be the limit."""

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.server import Server
from serving.bench.request import Body
from serving.bench.values import BenchError

_SCRIPT = """\
wrk.method = "POST"
local body = assert(io.open("{body}", "rb"))
wrk.body = body:read("*a")
{headers}
function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.timeout
  local half, last = latency:percentile(50), latency:percentile(99)
  io.write(string.format("%d %d %d %d %d\\n", summary.requests, summary.duration, half, last, wrong))
end
"""


class WrkResult(NamedTuple):
    """One run of `wrk`."""

    rate: float
    """Answers a second."""
    p50_ms: float
    p99_ms: float
    wrong: int = 0
    """Answers other than 200, and connections that broke."""


def drive(
    server: Server,
    path: str,
    body: Body,
    connections: int,
    seconds: int,
    *,
    keep_alive: bool = True,
    threads: int = 1,
    strict: bool = True,
) -> WrkResult:
    """Closed loop; without `keep_alive` a connection for each request. `strict`: `BenchError` unless all get 200."""
    headers = {**body.headers, **({} if keep_alive else {"Connection": "close"})}
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    with tempfile.TemporaryDirectory() as scratch:
        script, data = Path(scratch) / "post.lua", Path(scratch) / "body"
        data.write_bytes(body.data)
        script.write_text(_SCRIPT.format(body=data, headers=lines))
        command = ["wrk", "--threads", str(min(threads, connections)), "--connections", str(connections),
                   "--duration", f"{seconds}s", "--script", str(script), f"{server.url.geturl()}{path}"]  # fmt: skip
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            raise BenchError("wrk is not installed") from None
    requests, micros, p50_us, p99_us, wrong = map(int, told.strip().splitlines()[-1].split())
    if wrong and strict:
        raise BenchError(f"{path}: {wrong} of {requests} requests were not answered with 200")
    return WrkResult((requests - wrong) / micros * 1e6, p50_us / 1e3, p99_us / 1e3, wrong)
