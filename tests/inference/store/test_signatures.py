"""A signature in minisign's format says whose a bundle is; the `minisign` command makes and reads the same ones."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.errors import SignatureInvalid
from inference.predictor import Predictor
from inference.store.bundle import Bundle
from inference.store.signatures import SIGNATURE_FILE, KeyInvalid, Signer, Trust, sign
from tests.bundles import edit_json, sum_graph, write_bare, write_brightness
from tests.keys import Keys, make_keys

MINISIGN = shutil.which("minisign")
needs_minisign = pytest.mark.skipif(MINISIGN is None, reason="minisign is not installed")


def no_password(_: str) -> str:
    raise AssertionError("a password was asked for")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path / "keys", "ours")


def signed(root: Path, keys: Keys) -> Path:
    folder = write_brightness(root)
    sign(folder, keys.secret, no_password)
    return folder


def test_a_signed_bundle_opens_and_says_whose_it_is(tmp_path: Path, keys: Keys) -> None:
    folder = signed(tmp_path, keys)
    bundle = Predictor.open(folder, trust=Trust.read(keys.public)).bundle
    assert bundle.signer == Signer(keys.id, "brightness/1 file:manifest.json hashed")
    assert Bundle.open(folder).signer is None, "nobody asked for one"


def _unsign(folder: Path, _: Keys) -> None:
    (folder / SIGNATURE_FILE).unlink()


def _change_the_manifest(folder: Path, _: Keys) -> None:
    edit_json(folder / "manifest.json", description="another")


def _sign_by_a_stranger(folder: Path, keys: Keys) -> None:
    sign(folder, make_keys(keys.public.parent / "strange", "theirs").secret, no_password)


def _claim_another_key(folder: Path, keys: Keys) -> None:
    """A stranger's signature with the id of a trusted key in it."""
    strange = make_keys(keys.public.parent / "strange", "theirs")
    sign(folder, strange.secret, no_password)
    comment, line, *rest = (folder / SIGNATURE_FILE).read_bytes().splitlines()
    raw = base64.b64decode(line)
    ours = base64.b64decode(keys.public.read_bytes().splitlines()[1])
    line = base64.b64encode(raw[:2] + ours[2:10] + raw[10:])
    (folder / SIGNATURE_FILE).write_bytes(b"\n".join((comment, line, *rest)))


def _change_the_comment(folder: Path, _: Keys) -> None:
    text = (folder / SIGNATURE_FILE).read_text()
    (folder / SIGNATURE_FILE).write_text(text.replace("brightness/1", "brightness/2"))


def _nonsense(folder: Path, _: Keys) -> None:
    (folder / SIGNATURE_FILE).write_bytes(b"\xff\0nonsense\n" * 4)


def _too_long(folder: Path, _: Keys) -> None:
    (folder / SIGNATURE_FILE).write_bytes(b"x" * (1 << 20))


def _a_pipe(folder: Path, _: Keys) -> None:
    (folder / SIGNATURE_FILE).unlink()
    os.mkfifo(folder / SIGNATURE_FILE)


def _a_configuration_beside_it(folder: Path, _: Keys) -> None:
    (folder.parent / "config.pbtxt").write_text("max_batch_size: 4")


FAULTS = [
    (_unsign, "it is not signed: got no manifest.json.minisig, expected one by key {id}"),
    (_change_the_manifest, "it is no signature by key {id} of this manifest.json"),
    (_sign_by_a_stranger, "got one by key "),
    (_claim_another_key, "it is no signature by key {id} of this manifest.json"),
    (_change_the_comment, "it is no signature by key {id} of this manifest.json"),
    (_nonsense, "expected the four lines of minisign"),
    (_too_long, "expected at most 16384"),
    (_a_pipe, "got a pipe, expected a file"),
    (_a_configuration_beside_it, "got a config.pbtxt beside it, which nobody signs"),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bundle_that_no_trusted_key_has_signed_as_it_is_is_refused(
    tmp_path: Path,
    keys: Keys,
    spoil: Callable[[Path, Keys], None],
    words: str,
) -> None:
    folder = signed(tmp_path, keys)
    spoil(folder, keys)
    with pytest.raises(SignatureInvalid) as refused:
        Bundle.open(folder, trust=Trust.read(keys.public))
    assert words.format(id=keys.id) in refused.value.reason


def test_a_bare_graph_can_be_signed_by_nobody(tmp_path: Path, keys: Keys) -> None:
    folder = write_bare(tmp_path, "sum", sum_graph())
    with pytest.raises(SignatureInvalid, match=r"it has no manifest\.json that could be signed"):
        Bundle.open(folder, trust=Trust.read(keys.public))


def test_a_folder_of_keys_trusts_each_of_them(tmp_path: Path, keys: Keys) -> None:
    other = make_keys(keys.public.parent, "another")
    (keys.public.parent / "README").write_text("not a key")
    (keys.public.parent / "..data").mkdir()  # as a mounted Secret has it
    trust = Trust.read(keys.public.parent)
    assert trust.keys.keys() == {keys.id, other.id}
    folder = write_brightness(tmp_path)
    sign(folder, other.secret, no_password)
    assert trust.signer(folder, (folder / "manifest.json").read_bytes()).key_id == other.id
    (folder / SIGNATURE_FILE).unlink()
    with pytest.raises(SignatureInvalid, match="expected one by one of keys "):
        Bundle.open(folder, trust=trust)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nonsense", "expected a public key of minisign"),
        (b"untrusted comment: x\nRWQAAA==\n", "expected a public key of minisign"),
        (b"\0" * 100_000, "expected at most 16384"),
        (None, "No such file or directory"),
    ],
)
def test_keys_that_are_none_are_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "keys.pub"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeyInvalid) as refused:
        Trust.read(file)
    assert str(file) in str(refused.value)
    assert words in str(refused.value)


def test_a_folder_without_keys_and_two_keys_of_one_id_are_refused(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyInvalid, match=r"got no file NAME\.pub in it"):
        Trust.read(tmp_path / "empty")
    comment, line = keys.public.read_bytes().splitlines()
    forged = base64.b64encode(base64.b64decode(line)[:10] + bytes(32))
    (keys.public.parent / "zz.pub").write_bytes(comment + b"\n" + forged)
    with pytest.raises(KeyInvalid, match=f"got a second key of id {keys.id}"):
        Trust.read(keys.public.parent)


def test_without_its_library_it_says_what_to_install(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "minisign", None)
    with pytest.raises(KeyInvalid, match=r"pip install 'baton\[signing\]'"):
        Trust.read(keys.public)


def test_a_key_with_a_password_asks_for_it_once(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", "ours", password="open sesame")  # noqa: S106
    folder = write_brightness(tmp_path)
    asked: list[str] = []

    def password(key: str) -> str:
        asked.append(key)
        return "open sesame" if len(asked) > 1 else "wrong"

    with pytest.raises(KeyInvalid, match="wrong password"):
        sign(folder, keys.secret, password)
    assert not list(folder.glob("*.minisig*"))
    assert sign(folder, keys.secret, password).key_id == keys.id
    assert asked == [str(keys.secret)] * 2
    with pytest.raises(KeyInvalid, match="expected a secret key of minisign"):
        sign(folder, keys.public, password)


@needs_minisign
def test_the_command_verifies_what_is_signed_here(tmp_path: Path, keys: Keys) -> None:
    folder = signed(tmp_path, keys)
    ran = _minisign("-V", "-p", keys.public, "-m", folder / "manifest.json")
    assert ran.returncode == 0, ran.stderr
    assert "Trusted comment: brightness/1\tfile:manifest.json\thashed" in ran.stdout
    edit_json(folder / "manifest.json", description="another")
    assert _minisign("-V", "-p", keys.public, "-m", folder / "manifest.json").returncode != 0


@needs_minisign
@pytest.mark.parametrize("legacy", [False, True], ids=["prehashed", "legacy"])
def test_what_the_command_signs_with_its_own_key_is_believed(tmp_path: Path, legacy: bool) -> None:
    public, secret = tmp_path / "k.pub", tmp_path / "k.key"
    assert _minisign("-G", "-W", "-p", public, "-s", secret).returncode == 0
    folder = write_brightness(tmp_path)
    arguments = [
        "-S",
        *(["-l"] if legacy else []),
        "-s",
        secret,
        "-t",
        "release 7",
        "-m",
        folder / "manifest.json",
    ]
    assert _minisign(*arguments).returncode == 0
    signer = Bundle.open(folder, trust=Trust.read(public)).signer
    assert signer is not None
    assert signer.comment == "release 7"
    # minisign writes the id as a number, without the zeros before it: every sixteenth key has some.
    assert int(public.read_text().split("\n")[0].rpartition(" ")[2], 16) == int(signer.key_id, 16)
    assert sign(folder, secret, no_password).key_id == signer.key_id


@needs_minisign
@pytest.mark.slow
def test_a_key_that_the_command_made_with_a_password_signs(tmp_path: Path) -> None:
    public, secret = tmp_path / "k.pub", tmp_path / "k.key"
    made = _minisign("-G", "-p", public, "-s", secret, typed="secret\nsecret\n")
    assert made.returncode == 0, made.stderr
    folder = write_brightness(tmp_path)
    sign(folder, secret, lambda _: "secret")
    assert Bundle.open(folder, trust=Trust.read(public)).signer is not None


def _minisign(*arguments: object, typed: str = "") -> "subprocess.CompletedProcess[str]":
    assert MINISIGN is not None
    return subprocess.run(
        [MINISIGN, *map(str, arguments)], capture_output=True, text=True, timeout=60, input=typed
    )
