"""`python -m scripts.same_answers --against CHECKOUT`: whether two checkouts give the same answers, byte for byte.

Both serve the shipped bundles. Each golden input is predicted, and explained where its task can be; random tensors are
inferred from, as numbers in full. Exit 1 names the first answer that differs.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult

from benchmarks.server import serving
from serving.bench.request import Body, random_bodies, read_metadata

ROOT = Path(__file__).resolve().parent.parent
TENSORS = 8
"""Random requests for each model."""


class Asked(NamedTuple):
    """A request that both checkouts answer."""

    path: str
    body: Body


def golden_requests(models: Path) -> Iterator[Asked]:
    """`:predict` and `:explain` for every golden example of every bundle."""
    for file in sorted(models.glob("*/*/golden.json")):
        name = file.parent.parent.name
        for example in json.loads(file.read_bytes())["examples"]:
            instance = example["instance"]
            if example["file"]:
                content = (file.parent / example["file"]).read_bytes()
                is_text = example["media_type"].startswith("text/")
                instance = content.decode() if is_text else {"b64": base64.b64encode(content).decode()}
            body = Body(json.dumps({"instances": [instance]}).encode(), {"Content-Type": "application/json"})
            for verb in ("predict", "explain"):
                yield Asked(f"/v1/models/{name}:{verb}", body)


def tensor_requests(models: Path, url: SplitResult) -> Iterator[Asked]:
    """`infer` of random tensors, the same for both."""
    for folder in sorted(models.iterdir()):
        for body in random_bodies(read_metadata(url, folder.name, 30), TENSORS, {}, binary=False):
            yield Asked(f"/v2/models/{folder.name}/infer", body)


def answer(url: str, asked: Asked) -> bytes:
    """The body of an answer, whatever its status."""
    request = urllib.request.Request(url + asked.path, asked.body.data, dict(asked.body.headers))
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        return error.read()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask both, and compare."""
    cli = argparse.ArgumentParser(description=__doc__, prog="python -m scripts.same_answers")
    cli.add_argument("--against", type=Path, required=True, help="the folder of the other checkout")
    given = cli.parse_args(arguments)
    models, same = ROOT / "models", 0
    with serving(models, checkout=given.against) as before, serving(models) as after:
        for asked in (*golden_requests(models), *tensor_requests(models, after.url)):
            old, new = answer(before.url.geturl(), asked), answer(after.url.geturl(), asked)
            if old != new:
                print(
                    f"{asked.path}\n  the other: {old[:400]!r}\n  this:      {new[:400]!r}", file=sys.stderr
                )
                return 1
            same += 1
    print(f"{same} answers of {len(list(models.iterdir()))} models are the same, byte for byte")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
