"""Pairs of keys in minisign's format, made in a millisecond."""

import base64
from pathlib import Path
from typing import NamedTuple

import minisign


class Keys(NamedTuple):
    """The files of a pair, and its id as `minisign` shows it."""

    public: Path
    secret: Path
    id: str


def make_keys(folder: Path, name: str, password: str = "") -> Keys:
    """A new pair in `folder`: `name.pub`, and `name.key` with or without a password."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = minisign.KeyPair.generate()
    if password:
        pair.secret_key.encrypt(password, opslimit=1 << 15, memlimit=1 << 20)
    public, secret = folder / f"{name}.pub", folder / f"{name}.key"
    public.write_bytes(bytes(pair.public_key) + b"\n")
    secret.write_bytes(bytes(pair.secret_key) + b"\n")
    return Keys(public, secret, base64.b64decode(pair.public_key.to_base64())[2:10][::-1].hex().upper())
