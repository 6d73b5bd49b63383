"""`baton bench`: load servers, print the table, write the result and its plot."""

import asyncio
import sys
from collections.abc import Callable

from serving.bench.options import Options, read_options
from serving.bench.plot import draw
from serving.bench.result import Result, table
from serving.bench.runner import bench, prepare
from serving.bench.values import BenchError


def main(argv: list[str] | None = None) -> int:
    """Run a benchmark; 1 if it could not be run as asked, with the reason on standard error."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        options = read_options(arguments[1:] if arguments[:1] == ["bench"] else arguments)
        targets, asked = prepare(options)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            result = runner.run(bench(options, targets, asked))
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)  # the line that told the progress
        print(table(result))
        _write(options, result)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _write(options: Options, result: Result) -> None:
    if options.json is not None:
        try:
            options.json.write_text(result.model_dump_json(indent=1))
        except OSError as error:
            raise BenchError(f"{options.json}: {error.strerror}") from None
    if options.plot is not None:
        draw(result, options.plot)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: it answers about twice as many small requests."""
    try:
        import uvloop
    except ImportError:  # it has no Windows build
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    sys.exit(main())
