"""`baton inspect`, `check`, `predict`, `sign` and `publish`: bundles without a server."""

import argparse
import getpass
import json
import mimetypes
import os
import sys
from pathlib import Path

from inference.errors import BatonError, FileMissing, InvalidInput
from inference.folder import said_of
from inference.predictor import Predictor
from inference.store.bundle import Bundle
from inference.store.located import GRAPH_FILE, MANIFEST_FILE, Located
from inference.store.publishing import copy_bundle, staged_folder
from inference.store.repository import ModelRepository
from inference.store.signatures import KeyInvalid, Trust, sign
from inference.values import Payload

_VARIABLE = "BATON_SIGN_PASSWORD"
_KEY_HELP = f"secret key of minisign; its password is {_VARIABLE}, or is asked for"
_TRUST_HELP = "public key of minisign, or a folder of them (*.pub): bundles that none has signed are refused"


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
    check.add_argument("--trust", type=Path, metavar="KEYS", help=_TRUST_HELP)
    check.set_defaults(run=_check)
    predict = verbs.add_parser("predict", help="predict from files with one bundle")
    predict.add_argument("bundle", type=Path, help="models/<name>/<version>")
    predict.add_argument("files", type=Path, nargs="+", help="raw inputs, such as images")
    predict.set_defaults(run=_predict)
    signed = verbs.add_parser("sign", help="sign a bundle's manifest, which has the digests of all its files")
    signed.add_argument("bundle", type=Path, nargs="+", help="models/<name>/<version>")
    signed.add_argument("--key", type=Path, required=True, help=_KEY_HELP)
    signed.set_defaults(run=_sign)
    publish = verbs.add_parser(
        "publish", help="put proved bundles into another folder of models, each whole or not at all"
    )
    publish.add_argument("bundle", type=Path, nargs="+", help="models/<name>/<version>")
    publish.add_argument("--to", type=Path, required=True, metavar="MODELS", help="the folder of models")
    publish.add_argument("--sign", type=Path, metavar="KEY", help=_KEY_HELP)
    publish.set_defaults(run=_publish)
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
    trust = None if arguments.trust is None else Trust.read(arguments.trust)
    refused = any(fault.serious for fault in sight.faults)
    for versions in sight.versions.values():
        for located in versions.values():
            refused |= not _proves(located, trust)
    for fault in sight.faults:
        print(f"{fault}: not served: {fault.reason}")
    if not sight.versions:
        looked_for = f"NAME/VERSION/{MANIFEST_FILE}, NAME/VERSION/{GRAPH_FILE} and NAME/{GRAPH_FILE}"
        print(f"error: nothing to serve in {arguments.models}: looked for {looked_for}", file=sys.stderr)
    return 1 if refused or not sight.versions else 0


def _proves(located: Located, trust: Trust | None) -> bool:
    known_as = f"{located.name}/{located.version}"
    try:
        predictor = Predictor.open(located, trust=trust)
    except BatonError as error:
        print(f"{known_as}: refused: {error}")
    except OSError as error:
        print(f"{known_as}: refused: it cannot be read: {said_of(error)}")
    except Exception as error:  # whatever a file may raise, the others are checked, as a server would
        print(f"{known_as}: refused: {type(error).__name__}: {error}")
    else:
        signer = predictor.bundle.signer
        by = "" if signer is None else f", signed by key {signer.key_id}: {signer.comment}"
        print(f"{known_as}: proved, {predictor.precision} on {predictor.session.provider}{by}")
        return True
    return False


def _sign(arguments: argparse.Namespace) -> int:
    """Open each bundle, so that nobody signs what no server would serve; the signature lies beside its manifest."""
    password = _Password()
    for path in arguments.bundle:
        bundle = Bundle.open(path)
        _signed(bundle.path, arguments.key, password)
        print(f"{path}: signed")
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    password = _Password()
    for path in arguments.bundle:
        bundle = Bundle.open(path)
        if bundle.derived:
            raise FileMissing(
                path, f"it has no {MANIFEST_FILE}, expected a bundle: copy a bare graph as it is"
            )
        name, version = bundle.manifest.name, bundle.manifest.version
        try:
            with staged_folder(arguments.to, name, version) as staged:
                copy_bundle(bundle, staged)
                Predictor.open(staged)  # what was copied, and not what was there
                if arguments.sign is not None:
                    _signed(staged, arguments.sign, password)
        except OSError as error:
            print(f"error: cannot publish {name}/{version}: {error}", file=sys.stderr)
            return 1
        print(f"published {arguments.to / name / str(version)}")
    return 0


class _Password:
    """Of a secret key, asked for once: the variable's, or what is typed."""

    def __init__(self) -> None:
        self._known: str | None = os.environ.get(_VARIABLE)

    def __call__(self, key: str) -> str:
        if self._known is None:
            if not sys.stdin.isatty():
                raise KeyInvalid(f"{key}: it has a password, expected it in {_VARIABLE} or typed")
            self._known = getpass.getpass(f"password of {key}: ")
        return self._known


def _signed(bundle: Path, key: Path, password: _Password) -> None:
    try:
        signer = sign(bundle, key, password)
    except FileNotFoundError as error:
        raise FileMissing(bundle, f"{said_of(error)}, expected a bundle with a {MANIFEST_FILE}") from error
    print(f"signed by key {signer.key_id}: {signer.comment}", file=sys.stderr)


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
