"""`baton inspect`, `baton check` and `baton predict`: bundles without a server."""

import argparse
import json
import mimetypes
import sys
from pathlib import Path

from inference.errors import BatonError, InvalidInput
from inference.folder import said_of
from inference.predictor import Predictor
from inference.store.bundle import Bundle
from inference.store.located import GRAPH_FILE, MANIFEST_FILE, Located
from inference.store.repository import ModelRepository
from inference.values import Payload


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 1 if a bundle was refused, nothing was found or an input was at fault, else 0."""
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
    predict.add_argument("files", type=Path, nargs="+", help="raw inputs, such as images")
    predict.set_defaults(run=_predict)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    print(Bundle.open(arguments.bundle).manifest.model_dump_json(indent=2, exclude_none=True))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    """Open every version as a server would, and name each file or folder that cannot be one."""
    try:
        sight = ModelRepository(arguments.models).look()
    except OSError as error:
        print(f"error: {arguments.models}: expected a folder of models: {said_of(error)}", file=sys.stderr)
        return 1
    refused = any(fault.serious for fault in sight.faults)
    for versions in sight.versions.values():
        for located in versions.values():
            refused |= not _proves(located)
    for fault in sight.faults:
        print(f"{fault}: not served: {fault.reason}")
    if not sight.versions:
        looked_for = f"NAME/VERSION/{MANIFEST_FILE}, NAME/VERSION/{GRAPH_FILE} and NAME/{GRAPH_FILE}"
        print(f"error: nothing to serve in {arguments.models}: looked for {looked_for}", file=sys.stderr)
    return 1 if refused or not sight.versions else 0


def _proves(located: Located) -> bool:
    known_as = f"{located.name}/{located.version}"
    try:
        predictor = Predictor.open(located)
    except BatonError as error:
        print(f"{known_as}: refused: {error}")
    except OSError as error:
        print(f"{known_as}: refused: it cannot be read: {said_of(error)}")
    except Exception as error:  # whatever a file may raise, the others are checked, as a server would
        print(f"{known_as}: refused: {type(error).__name__}: {error}")
    else:
        print(f"{known_as}: proved, {predictor.precision} on {predictor.session.provider}")
        return True
    return False


def _predict(arguments: argparse.Namespace) -> int:
    predictor = Predictor.open(arguments.bundle)
    for file in arguments.files:
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        try:
            payload = Payload(file.read_bytes(), media_type, field=str(file))
        except OSError as error:
            raise InvalidInput(str(file), said_of(error), "a file that can be read") from error
        print(json.dumps({"file": str(file), **next(predictor.predict([payload]))}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
