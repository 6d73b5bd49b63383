"""Signatures of bundles, in minisign's format: whose they are, and making one.

`manifest.json.minisig` signs the exact bytes of the manifest, which lists the digest of every other file. So it signs
the bundle, and the name and version in it. The `minisign` command makes the keys, and makes and verifies the same
signatures. py-minisign is needed only here; it is imported where a key is at hand.
"""

import base64
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from inference.errors import BatonError, SignatureInvalid
from inference.folder import UnfitFile, passed_over, read_regular, said_of, shown
from inference.store.located import MANIFEST_FILE

SIGNATURE_FILE = f"{MANIFEST_FILE}.minisig"

_MOST_BYTES = 16 << 10  # of a key or a signature: its comment may have 8 KiB
_MOST_KEYS = 1000
_ID = slice(2, 10)  # of the decoded line of a key or a signature: behind two letters for the algorithm


class KeyInvalid(BatonError):
    """A key that cannot be used, or no library that could use it."""


class Signer(NamedTuple):
    """Whose signature it is."""

    key_id: str
    """16 digits, as `minisign` shows it."""
    comment: str
    """The trusted comment, which is signed too."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The public keys whose signatures are believed, by their ids."""

    keys: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Trust":
        """From a public key of minisign, or a folder of them (`*.pub`); `KeyInvalid` names the file that is none."""
        library = _library()
        try:
            files = _key_files(path)
        except OSError as error:
            raise KeyInvalid(
                f"{path}: expected a public key or a folder of them: {said_of(error)}"
            ) from error
        if not files:
            raise KeyInvalid(f"{path}: got no file NAME.pub in it, expected the public keys of minisign")
        keys: dict[str, Any] = {}
        for file in files:
            key = _parsed(library.PublicKey.from_bytes, file, "a public key of minisign, two lines")
            known_as = _id_of(key.to_base64())
            if known_as in keys and keys[known_as] != key:
                raise KeyInvalid(f"{file}: got a second key of id {known_as}, expected ids that differ")
            keys[known_as] = key
        return cls(keys)

    def signer(self, bundle: Path, manifest: bytes) -> Signer:
        """Who has signed these bytes of a manifest; `SignatureInvalid` where it is nobody who is trusted."""
        try:
            content = read_regular(bundle / SIGNATURE_FILE, _MOST_BYTES)
        except FileNotFoundError as error:
            raise SignatureInvalid(
                bundle, f"it is not signed: got no {SIGNATURE_FILE}, expected one by {self._listed()}"
            ) from error
        except UnfitFile as error:
            raise SignatureInvalid(bundle, f"{SIGNATURE_FILE}: {error}") from error
        try:
            signature = _library().Signature.from_bytes(content)
            signer = Signer(_id_of(content.splitlines()[1]), shown(signature.trusted_comment))
        except ValueError as error:
            raise SignatureInvalid(
                bundle, f"{SIGNATURE_FILE}: {error}, expected the four lines of minisign"
            ) from error
        key = self.keys.get(signer.key_id)
        if key is None:
            raise SignatureInvalid(
                bundle, f"{SIGNATURE_FILE}: got one by key {signer.key_id}, expected one by {self._listed()}"
            )
        try:
            key.verify(manifest, signature)
        except ValueError as error:
            raise SignatureInvalid(
                bundle, f"{SIGNATURE_FILE}: it is no signature by key {signer.key_id} of this {MANIFEST_FILE}"
            ) from error
        return signer

    def _listed(self) -> str:
        ids = sorted(self.keys)
        return f"{'one of ' * (len(ids) > 1)}key{'s' * (len(ids) > 1)} {', '.join(ids[:5])}{' …' * (len(ids) > 5)}"


def sign(bundle: Path, key: Path, ask: Callable[[str], str]) -> Signer:
    """Sign the manifest in a bundle's folder with a secret key of minisign, in place of a signature before.

    `ask` gives the key's password, where it has one; `KeyInvalid`, and `OSError` where the folder cannot be written.
    """
    data = read_regular(bundle / MANIFEST_FILE, 1 << 30)
    library = _library()
    with _parsed(library.SecretKey.from_bytes, key, "a secret key of minisign, two lines") as secret:
        if secret.is_encrypted():
            try:
                secret.decrypt(ask(str(key)))
            except ValueError as error:
                raise KeyInvalid(f"{key}: {error}") from error
        comment = f"{bundle.parent.name}/{bundle.name}\tfile:{MANIFEST_FILE}\thashed"
        signature = secret.sign(data, trusted_comment=_plain(comment))
        signer = Signer(_id_of(secret.get_public_key().to_base64()), signature.trusted_comment)
    written = bundle / f".{SIGNATURE_FILE}.{os.getpid()}"
    try:
        written.write_bytes(bytes(signature) + b"\n")
        written.replace(bundle / SIGNATURE_FILE)
    finally:
        written.unlink(missing_ok=True)
    return signer


def _library() -> ModuleType:
    try:
        import minisign
    except ImportError as error:
        raise KeyInvalid(
            f"signatures need the library py-minisign ({error}): pip install 'baton[signing]'"
        ) from error
    module: ModuleType = minisign
    return module


def _key_files(path: Path) -> Iterable[Path]:
    """The file itself, or what a folder holds; the links of a mounted Secret count, its hidden folders do not."""
    if not path.is_dir():
        path.stat()
        return [path]
    with os.scandir(path) as found:
        names = sorted(
            each.name for each in found if each.name.endswith(".pub") and not passed_over(each.name)
        )
    if len(names) > _MOST_KEYS:
        raise KeyInvalid(f"{path}: got {len(names)} keys, expected at most {_MOST_KEYS}")
    return [path / name for name in names]


def _parsed(parse: Callable[[bytes], Any], file: Path, expected: str) -> Any:
    try:
        return parse(read_regular(file, _MOST_BYTES))
    except OSError as error:
        raise KeyInvalid(f"{file}: it cannot be read: {said_of(error)}") from error
    except ValueError as error:  # the library's own errors, and `UnfitFile`
        raise KeyInvalid(f"{file}: {error}, expected {expected}") from error


def _id_of(line: bytes) -> str:
    """A key's id as `minisign` shows it: a number of 64 bits, the lowest byte first in the file."""
    return base64.b64decode(line)[_ID][::-1].hex().upper()


def _plain(comment: str) -> str:
    """As the library takes a comment: printable ASCII and tabs."""
    return "".join(each if each == "\t" or " " <= each < "\x7f" else "?" for each in comment)
