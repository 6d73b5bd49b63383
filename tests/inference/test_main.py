"""`baton inspect` and `baton predict`, from their command line."""

import json
from pathlib import Path

import pytest

from inference.__main__ import main
from inference.store.bundle import Bundle
from inference.store.signatures import Trust
from tests.bundles import MODELS, sum_graph, write_bare, write_brightness
from tests.keys import make_keys

BUNDLE = MODELS / "reviews" / "2"


def test_inspect_prints_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(BUNDLE)]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "reviews"


def test_a_text_in_a_file_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Dull, badly acted, and a waste of two hours.")
    assert main(["predict", str(BUNDLE), str(tmp_path / "a.txt")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["file"], answer["label"]) == (str(tmp_path / "a.txt"), "negative")


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(BUNDLE), str(tmp_path / "a.txt")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path / 'a.txt'}: got No such file or directory: a.txt")
    assert said.endswith(", expected a file that can be read\n")


def test_a_bundle_is_published_signed_and_checked_against_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, source = make_keys(tmp_path / "keys", "ours"), write_brightness(tmp_path / "from")
    target = tmp_path / "to"
    assert main(["publish", str(source), "--to", str(target), "--sign", str(keys.secret)]) == 0
    assert f"published {target / 'brightness' / '1'}" in capsys.readouterr().out
    assert main(["check", str(target), "--trust", str(keys.public)]) == 0
    assert f"signed by key {keys.id}: brightness/1" in capsys.readouterr().out
    assert main(["publish", str(source), "--to", str(target)]) == 1
    assert "a published version is never overwritten" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "from"), "--trust", str(keys.public)]) == 1
    assert "it is not signed" in capsys.readouterr().out


def test_a_bundle_is_signed_where_it_lies_and_a_password_is_the_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, folder = make_keys(tmp_path / "keys", "ours", password="sesame"), write_brightness(tmp_path)  # noqa: S106
    arguments = ["sign", str(folder), "--key", str(keys.secret)]
    assert main(arguments) == 1
    assert "it has a password, expected it in BATON_SIGN_PASSWORD" in capsys.readouterr().err
    monkeypatch.setenv("BATON_SIGN_PASSWORD", "sesame")
    assert main(arguments) == 0
    assert f"signed by key {keys.id}" in capsys.readouterr().err
    assert Bundle.open(folder, trust=Trust.read(keys.public)).signer is not None


def test_what_is_no_bundle_is_neither_signed_nor_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, bare = make_keys(tmp_path / "keys", "ours"), write_bare(tmp_path, "sum", sum_graph())
    assert main(["publish", str(bare), "--to", str(tmp_path / "to")]) == 1
    assert "expected a bundle" in capsys.readouterr().err
    assert main(["sign", str(bare), "--key", str(keys.secret)]) == 1
    assert "expected a bundle with a manifest.json" in capsys.readouterr().err
    assert main(["sign", str(write_brightness(tmp_path)), "--key", str(tmp_path / "away")]) == 1
    assert "it cannot be read: No such file" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--trust", str(keys.secret)]) == 1
    assert "expected a public key of minisign" in capsys.readouterr().err
