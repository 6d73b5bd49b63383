"""Twelve attacks on the memory of a server at once, beside honest callers: what it holds, and what they feel."""

import asyncio
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.attacks import ATTACKS, Outcome, attack, post
from benchmarks.faults.bench import ROOT, Bench, Server
from benchmarks.result import Claim, parser, write

MiB = 1 << 20
LIMIT = "512MiB"
MOST_OVER_IDLE = 700 * MiB
MOST_TIMES = 3.0
CALLERS = 16
EVERY_S = 0.1
"""Between two requests of a caller; 16 of them take a tenth of a core of the server."""
_MODELS = ("fashion", "photos", "retail", "reviews")


class Felt(NamedTuple):
    """What honest callers felt: milliseconds of their answers, and how many of each status."""

    latency_ms: list[float]
    statuses: Counter[str]

    @property
    def p99_ms(self) -> float:
        """99 % were answered within."""
        return float(np.percentile(self.latency_ms, 99))


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("memory_attacks", __doc__)
    cli.add_argument("--seconds", type=float, default=30.0, help="that the attackers keep at it")
    cli.add_argument("--quiet-seconds", type=float, default=15.0, help="of the honest callers alone, before")
    cli.add_argument("--only", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    cli.add_argument("--nice", type=int, default=19, help="of the attackers, who are on the server's cores")
    cli.add_argument("--checkout", type=Path, default=ROOT, help="of which the server is: another version")
    given = cli.parse_args()
    flags = ("--max-inflight-bytes", LIMIT) if _takes_limit(given.checkout) else ()
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        bench = Bench(Path(folder), given.checkout.resolve())
        with bench.serve(bench.models(*_MODELS), *flags) as server:
            asyncio.run(honest(server.port, 3.0))  # first requests bring their own memory and caches
            quiet = asyncio.run(honest(server.port, given.quiet_seconds))
            idle, before = server.rss_bytes(), _cpu_s(server)
            server.forget_peak()
            outcomes, felt = _attacked(server, given.only, given.seconds, given.nice)
            peak, took = server.peak_bytes(), _cpu_s(server) - before
            server.wait(lambda: server.rss_bytes() < idle + 100 * MiB, 20.0)
            after = server.rss_bytes()
    over = peak - idle
    times = felt.p99_ms / quiet.p99_ms
    refused = sum(count for status, count in felt.statuses.items() if status != "200")
    rows = [
        (
            ATTACKS[name][0],
            str(ATTACKS[name][1]),
            str(outcome.connections),
            f"{outcome.sent / 1e9:.2f}",
            ", ".join(f"{count} of {status}" for status, count in sorted(outcome.statuses.items())) or "none",
        )
        for name, outcome in outcomes.items()
    ]
    claims = [
        Claim(text="peak resident memory over the idle one", expected=f"≤ {MOST_OVER_IDLE / MiB:.0f} MiB",
              actual=f"{over / MiB:.0f} MiB", kept=over <= MOST_OVER_IDLE),
        Claim(text="p99 of the honest callers, times their quiet one", expected=f"≤ {MOST_TIMES:.0f}",
              actual=f"{times:.2f} ({felt.p99_ms:.1f} ms over {quiet.p99_ms:.1f})", kept=times <= MOST_TIMES),
        Claim(text=f"of {len(felt.latency_ms)} honest requests refused or failed", expected="0",
              actual=str(refused) if not refused else f"{refused}: {dict(felt.statuses)}", kept=not refused),
    ]  # fmt: skip
    attackers = sum(outcome.cpu_s for outcome in outcomes.values())
    note = (
        f"Idle {idle / MiB:.0f} MiB, peak {peak / MiB:.0f} MiB, {after / MiB:.0f} MiB within 20 s after. Seconds of "
        f"processor in the {given.seconds:.0f} s: the server's {took:.0f}, the attackers' {attackers:.0f}, of "
        f"{os.cpu_count()} cores. The attackers are on the same cores at priority nice {given.nice}, and their bytes "
        "still have to be read by the server."
    )
    return write(given.out, ("attack", "at once", "connections", "GB sent", "answers"), rows, claims, [note])


def _attacked(
    server: Server, names: Sequence[str], seconds: float, nice: int
) -> tuple[dict[str, Outcome], Felt]:
    """All attacks at once, each in a process of its own, beside the honest callers."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(names), context) as pool:
        begun = [pool.submit(attack, name, server.port, seconds, nice) for name in names]
        time.sleep(2.0)  # the processes start and make what they send
        felt = asyncio.run(honest(server.port, seconds - 3.0))
        return {name: each.result(seconds + 60) for name, each in zip(names, begun, strict=True)}, felt


async def honest(port: int, seconds: float) -> Felt:
    """Callers of small JSON, images and histories, each of them every `EVERY_S`, on connections that they keep."""
    felt = Felt([], Counter())
    requests = _requests()
    until = time.monotonic() + seconds

    async def call(number: int) -> None:
        request = requests[number % len(requests)]
        await asyncio.sleep(EVERY_S * number / CALLERS)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = time.monotonic()
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            try:
                writer.write(request)
                status = await _status(reader)
            except (OSError, asyncio.IncompleteReadError):
                status = "lost"
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            felt.latency_ms.append((time.perf_counter() - began) * 1e3)
            felt.statuses[status] += 1
            due = max(due + EVERY_S, time.monotonic())
        writer.close()

    await asyncio.gather(*(call(number) for number in range(CALLERS)))
    return felt


async def _status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head[9:12].decode()


def _requests() -> list[bytes]:
    """One of each kind of caller."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 400)).save(file, "JPEG")
    photo = file.getvalue()
    text = json.dumps({"instances": ["a good book, and a bad film"]}).encode()
    history = json.dumps({"instances": [{"history": [1, 2, 3]}]}).encode()
    tensor = {"name": "history", "shape": [1, 3], "datatype": "INT64", "data": [1, 2, 3]}
    ids = json.dumps({"inputs": [tensor]}).encode()
    kind = "Content-Type: application/json"
    return [
        post("/v1/models/reviews:predict", len(text), kind) + text,
        post("/v1/models/photos:predict", len(photo), "Content-Type: image/jpeg") + photo,
        post("/v1/models/retail:predict", len(history), kind) + history,
        post("/v2/models/retail/infer", len(ids), kind) + ids,
    ]


def _cpu_s(server: Server) -> float:
    ticks = 0
    for pid in server.pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _takes_limit(checkout: Path) -> bool:
    return "max_inflight_bytes" in (checkout / "serving/settings.py").read_text()


if __name__ == "__main__":
    sys.exit(main())
