"""The command line of `baton bench`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from serving.bench.request import parse_shape
from serving.bench.values import BenchError, Closed, Load, Open

Value = TypeVar("Value", int, float)

_EPILOG = """
Closed loop (--connections): each connection sends its next request when the last is answered. Open loop (--rate):
requests arrive at a fixed mean rate, whatever the server does. Several servers take turns in each round, and are
compared with the first in the same round, since a machine's speed drifts.

examples:

  baton bench http://127.0.0.1:8000 --model tiny --connections 1,16,64
  baton bench http://127.0.0.1:8000 --model tiny --rate 500,1000 --rounds 5 --json result.json --plot result.png
  baton bench http://127.0.0.1:8000 --model tiny --find-rate --limit-ms 50
  baton bench http://127.0.0.1:8000 --model photos --data cat.jpg
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything, checked."""

    urls: tuple[str, ...]
    model: str
    path: str | None
    data: Path | None
    content_type: str | None
    headers: dict[str, str]
    binary: bool
    rows: int
    shapes: dict[str, tuple[int, ...]]
    connections: tuple[int, ...]
    rates: tuple[float, ...]
    find_rate: bool
    limit_ms: float | None
    share: float
    duration_s: float
    warmup_s: float
    rounds: int
    timeout_s: float
    seed: int
    json: Path | None
    plot: Path | None

    def loads(self) -> tuple[Load, ...]:
        """Open loop at every rate over the most connections given; without a rate, closed loop at each number."""
        if self.rates:
            return tuple(Open(rate, max(self.connections)) for rate in self.rates)
        return tuple(Closed(connections) for connections in self.connections)


def read_options(arguments: Sequence[str]) -> Options:
    """From the command line; `--help` and unknown flags exit, `BenchError` names flags that exclude each other."""
    given = vars(_parser().parse_args(list(arguments)))
    given["headers"] = dict(_header(text) for text in given.pop("header"))
    given["shapes"] = dict(parse_shape(text) for text in given.pop("shape"))
    given["rates"] = given.pop("rate")
    checked: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    options = Options(**checked)
    if not options.model and (options.path is None or options.data is None):
        raise BenchError(
            "--model: got none, expected a model's name, or --path with --data for another protocol"
        )
    if options.find_rate and options.limit_ms is None:
        raise BenchError(
            "--find-rate: expected --limit-ms, since a rate is sustained while answers come in time"
        )
    if options.find_rate and options.rates:
        raise BenchError("--find-rate: got --rate too, expected only one of them")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="baton bench",
        description="Load servers of the Open Inference Protocol, and measure answers a second and latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "urls",
        nargs="+",
        metavar="URL",
        help="a server: http://host:port; several take turns and are compared",
    )
    asked = parser.add_argument_group("the request")
    add = asked.add_argument
    add(
        "--model",
        default="",
        help="name of the model; its inputs are read from the first server and filled with random numbers",
    )
    add(
        "--data",
        type=Path,
        help="file to send in the place of random numbers: an image or text for :predict, or JSON",
    )
    add("--content-type", help="content type of --data (default: by the file's name)")
    add(
        "--path",
        help="path of the request (default: /v2/models/MODEL/infer, with --data /v1/models/MODEL:predict)",
    )
    add(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="header of every request; may be given several times",
    )
    add(
        "--binary",
        action="store_true",
        help="send and receive tensors as bytes (the protocol's binary extension), not JSON",
    )
    add("--rows", type=_whole, default=1, help="rows in each request (default 1)")
    add(
        "--shape",
        action="append",
        default=[],
        metavar="NAME:1,64",
        help="shape of an input with open axes, its batch axis first; may be given several times",
    )
    load = parser.add_argument_group("the load")
    add = load.add_argument
    add("--connections", type=_list_of(_whole), default=[16], metavar="N,…",
        help="connections: closed loop at each number; open loop over at most the greatest (default 16)")  # fmt: skip
    add(
        "--rate",
        type=_list_of(_positive),
        default=[],
        metavar="R,…",
        help="open loop at each of these rates, in requests a second (Poisson arrivals)",
    )
    add(
        "--find-rate",
        action="store_true",
        help="search for the highest rate that each server sustains, open loop; needs --limit-ms",
    )
    add(
        "--limit-ms",
        type=_positive,
        help="milliseconds within which an answer is good; the table then shows their share",
    )
    add(
        "--share",
        type=_share,
        default=0.99,
        help="share of good answers at which a rate is sustained (default 0.99)",
    )
    add(
        "--duration",
        dest="duration_s",
        type=_positive,
        default=5.0,
        help="seconds of each server in each round (default 5)",
    )
    add(
        "--warmup",
        dest="warmup_s",
        type=_seconds,
        default=1.0,
        help="seconds of load before the first round, which do not count (default 1)",
    )
    add(
        "--rounds",
        type=_whole,
        default=3,
        help="rounds; medians and 95 %% intervals are taken over them (default 3)",
    )
    add(
        "--timeout",
        dest="timeout_s",
        type=_positive,
        default=30.0,
        help="seconds after which a request is given up (default 30)",
    )
    add("--seed", type=int, default=0, help="seed of arrivals and random inputs (default 0)")
    out = parser.add_argument_group("the result")
    out.add_argument("--json", type=Path, help="file for all figures")
    out.add_argument(
        "--plot", type=Path, help="file for a plot of the latencies (.png, .svg); needs matplotlib"
    )
    out.add_argument("--picture", dest="plot", action=_Renamed, type=Path, help=argparse.SUPPRESS)
    return parser


class _Renamed(argparse.Action):
    """A flag's former name: it does the same, and says the new one."""

    def __call__(
        self, parser: object, options: argparse.Namespace, value: object, flag: str | None = None
    ) -> None:
        print(f"{flag} is deprecated: use --{self.dest}", file=sys.stderr)
        setattr(options, self.dest, value)


def _list_of(kind: Callable[[str], Value]) -> Callable[[str], list[Value]]:
    def parse(text: str) -> list[Value]:
        return [kind(part) for part in text.split(",")]

    return parse


def _number(text: str, kind: Callable[[str], Value]) -> Value:
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}") from None


def _whole(text: str) -> int:
    return int(_at_least(1, text, _number(text, int)))


def _positive(text: str) -> float:
    value = _number(text, float)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def _seconds(text: str) -> float:
    return _at_least(0, text, _number(text, float))


def _share(text: str) -> float:
    value = _number(text, float)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0, at most 1")
    return value


def _at_least(least: float, text: str, value: float) -> float:
    if value < least:
        raise argparse.ArgumentTypeError(f"got {text}, expected at least {least:g}")
    return value


def _header(text: str) -> tuple[str, str]:
    name, found, value = text.partition(":")
    if not found or not name or "\n" in text or "\r" in text:
        raise BenchError(f"--header: got {text!r}, expected NAME:VALUE")
    return name.strip(), value.strip()
