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
wrk.body = [==[{body}]==]
wrk.headers["Content-Type"] = "application/json"
{more}
function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.timeout
  io.write(string.format("%d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(99), wrong))
end
"""


class Seen(NamedTuple):
    """One run of `wrk`."""

    rate: float
    """Answers a second."""
    p99_ms: float


def drive(
    server: Server, path: str, body: Body, connections: int, seconds: int, *, keep: bool = True
) -> Seen:
    """Closed loop; `keep` False makes a connection for each request. `BenchError` if an answer is not 200."""
    more = "" if keep else 'wrk.headers["Connection"] = "close"'
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "post.lua"
        script.write_text(_SCRIPT.format(body=body.data.decode(), more=more))
        command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
                   "--script", str(script), f"{server.url.geturl()}{path}"]  # fmt: skip
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            raise BenchError("wrk is not installed") from None
    requests, micros, p99_us, wrong = map(int, told.strip().splitlines()[-1].split())
    if wrong:
        raise BenchError(f"{path}: {wrong} of {requests} requests were not answered with 200")
    return Seen(requests / micros * 1e6, p99_us / 1e3)
