"""`baton key`: make an API key, and the line for the file of `--api-keys`, which has only its digest."""

import argparse
import sys
from collections.abc import Sequence

from serving.access.keys import line_of, new_key


def main(argv: Sequence[str] | None = None) -> int:
    """Print the line on standard output and the key on standard error, where it is seen once."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["key"]:
        del arguments[0]
    parser = argparse.ArgumentParser(prog="baton key", description=__doc__)
    parser.add_argument("name", help="of the client: a label in /metrics and a word in its errors")
    parser.add_argument("--rate", default="", help="requests a second in the whole server; default: any")
    parser.add_argument("--concurrency", default="", help="requests at once; default: any")
    options = parser.parse_args(arguments)
    key = new_key()
    try:
        line = line_of(options.name, key, options.rate, options.concurrency)
    except ValueError as error:
        print(f"baton key: {error}", file=sys.stderr)
        return 2
    print(line, flush=True)
    print(f"the key, which is kept nowhere: {key}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
