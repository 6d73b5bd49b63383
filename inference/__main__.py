"""`baton inspect`, `baton check` and `baton predict`: what can be asked of bundles without a server."""

import argparse
import json
import mimetypes
import sys
from pathlib import Path

from inference.bundle import Bundle
from inference.errors import BatonError
from inference.predictor import Predictor
from inference.repository import ModelRepository
from inference.values import Payload


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 1 if a bundle was refused or an input was at fault, else 0."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    try:
        status: int = arguments.run(arguments)
    except BatonError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="baton", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    inspect = verbs.add_parser("inspect", help="print a bundle's manifest")
    inspect.add_argument("bundle", type=Path, help="models/<name>/<version>")
    inspect.set_defaults(run=_inspect)
    check = verbs.add_parser("check", help="open every bundle of a folder and replay its golden examples")
    check.add_argument("models", type=Path, help="the folder of bundles")
    check.set_defaults(run=_check)
    predict = verbs.add_parser("predict", help="predict from files with one bundle")
    predict.add_argument("bundle", type=Path, help="models/<name>/<version>")
    predict.add_argument("files", type=Path, nargs="+", help="raw inputs, such as pictures")
    predict.set_defaults(run=_predict)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    print(Bundle.open(arguments.bundle).manifest.model_dump_json(indent=2, exclude_none=True))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    repository, refused = ModelRepository(arguments.models), 0
    for name in repository.names():
        for version in repository.versions(name):
            try:
                predictor = Predictor.open(repository.path(name, version))
            except BatonError as error:
                refused += 1
                print(f"{name}/{version}: refused: {error}")
            else:
                print(f"{name}/{version}: proved, {predictor.precision} on {predictor.session.provider}")
    return 1 if refused else 0


def _predict(arguments: argparse.Namespace) -> int:
    predictor = Predictor.open(arguments.bundle)
    for file in arguments.files:
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        payload = Payload(file.read_bytes(), media_type, field=str(file))
        print(json.dumps({"file": str(file), **next(predictor.predict([payload]))}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
