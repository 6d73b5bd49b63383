"""A million requests, and the memory that they leave behind."""

import sys

from benchmarks.asking import add_model, infer_target, load, models_folder
from benchmarks.graphs import TINY
from benchmarks.result import Claim, parser, write
from benchmarks.server import serving
from serving.bench.values import Closed

SHARE_BEFORE = (
    0.05  # of the requests: pools, caches and arenas have grown by then, so memory counts from there
)


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("soak", __doc__)
    add_model(cli)
    cli.add_argument("--requests", type=int, default=1_000_000)
    cli.add_argument("--connections", type=int, default=16)
    cli.add_argument("--seconds", type=float, default=10.0, help="between two readings of the memory")
    given = cli.parse_args()
    measured: list[tuple[int, float]] = []
    asked = wrong = 0
    with models_folder(given.models, given.model, TINY) as models, serving(models) as server:
        target = infer_target(server, given.model, binary=False)
        while asked < given.requests:
            round_ = load(target, Closed(given.connections), given.seconds)
            asked += round_.requests
            wrong += round_.requests - round_.outcomes.get("200", 0)
            measured.append((asked, server.rss_mib()))
    before = next((mib for count, mib in measured if count >= SHARE_BEFORE * given.requests), measured[-1][1])
    growth = measured[-1][1] / before
    rows = [(f"{count:,}", f"{mib:.1f}") for count, mib in measured[:: max(1, len(measured) // 10)]]
    rows.append((f"{asked:,}", f"{measured[-1][1]:.1f}"))
    claims = [
        Claim(text="RSS at the end over that after 5 %", expected="within 5 %", actual=f"{growth:.3f}",
              kept=growth <= 1.05),
        Claim(text="requests not answered with 200", expected="0", actual=str(wrong), kept=wrong == 0),
    ]  # fmt: skip
    return write(given.out, ("requests answered", "RSS MiB"), rows, claims)


if __name__ == "__main__":
    sys.exit(main())
