"""The peers by turns: runs a head-to-head script with `wrk` that somebody keeps elsewhere, and keeps its rows.

The script (`--duel`) starts each peer named, drives them in turn, and appends one JSON row for each peer,
model and number of connections to `duel.jsonl` in the folder that PEER_BASE names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.result import Claim, parser, shown, write
from serving.bench.figures import interval

# Of the issue that asked for them: (ours, theirs, model, connections, least ratio).
PROMISES = (
    ("baton:1", "triton:1", "tiny", 1, 1.0),
    ("baton:1", "triton:1", "tiny", 16, 1.1),
    ("baton:1", "triton:1", "tiny", 64, 1.2),
    ("baton:2", "triton:1", "tiny", 64, 1.7),
    ("baton:1", "fastapi:1", "tiny", 64, 3.0),
    *(
        ("baton:1", f"{peer}:1", "tiny", 64, 6.0)
        for peer in ("mlserver", "kserve", "litserve", "bentoml", "mlflow")
    ),
)


def main() -> int:
    """Run, write, and say which promises hold."""
    made = parser("peers", __doc__)
    made.add_argument("peers", nargs="+", help="as the script names them: baton:1 triton:1 raw:1")
    made.add_argument("--duel", type=Path, required=True, help="the script")
    made.add_argument("--python", default=sys.executable, help="the interpreter that runs it")
    made.add_argument("--models", default="tiny")
    made.add_argument("--conc", default="1,16,64")
    made.add_argument("--rounds", default="5")
    made.add_argument("--secs", default="2")
    given = made.parse_args()
    log = Path(os.environ["PEER_BASE"]) / "duel.jsonl"
    known = log.stat().st_size if log.exists() else 0
    command = [given.python, given.duel, *given.peers, "--ref", given.peers[0], "--models", given.models,
               "--conc", given.conc, "--rounds", given.rounds, "--secs", given.secs]  # fmt: skip
    subprocess.run(command, check=True)
    with log.open() as lines:
        lines.seek(known)
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    rows = [
        (f"{row['model']}, {row['conc']} connections: {row['peer']}", shown(interval(row["ratio"])),
         f"{row['rps']:.0f}", f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["errors"]))
        for row in found
    ]  # fmt: skip
    columns = ("load and peer", f"answers/s over {given.peers[0]}", "answers/s", "p50 ms", "p99 ms", "errors")
    return write(given.out, columns, rows, _claims(found))


def _claims(rows: list[dict[str, Any]]) -> list[Claim]:
    ratios = {(row["peer"], row["model"], row["conc"]): row["ratio"] for row in rows}
    claims: list[Claim] = []
    for ours, theirs, model, connections, least in PROMISES:
        pair = [ratios.get((peer, model, connections)) for peer in (ours, theirs)]
        if pair[0] and pair[1]:
            seen = interval([a / b for a, b in zip(*pair, strict=True) if b] or [0.0])
            text = f"{model}, {connections} connections: {ours} over {theirs}"
            claims.append(
                Claim(text=text, wanted=f"at least {least}", seen=shown(seen), kept=seen.median >= least)
            )
    return claims


if __name__ == "__main__":
    sys.exit(main())
