"""With `--trust` only signed bundles answer; who signed them is told, and a signature that comes is taken up."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from inference.errors import LoadRefused, ModelNotReady
from inference.store.repository import ModelRepository
from inference.store.signatures import SIGNATURE_FILE, Trust, sign
from serving.__main__ import main
from serving.engine.diagnostics import diagnose
from serving.engine.inflight import InflightBytes
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from serving.engine.registry import ModelRegistry
from serving.settings import Settings
from tests.bundles import edit_json, sum_graph, write_bare, write_brightness
from tests.keys import Keys, make_keys


def no_password(_: str) -> str:
    raise AssertionError("a password was asked for")


def signers(registry: ModelRegistry) -> dict[str, str]:
    return {
        each["name"]: each["signed_by"]["key_id"]
        for each in diagnose(registry, "cpu", InflightBytes(1 << 30))["models"]
    }


async def story(root: Path, keys: Keys, other: Keys, pool: ThreadPoolExecutor) -> None:
    trust = Trust.read(keys.public.parent)
    loader = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool, trust=trust)
    registry = ModelRegistry(ModelRepository(root), loader)
    signed, later = write_brightness(root, "signed"), write_brightness(root, "later")
    write_bare(root, "sum", sum_graph())
    sign(signed, keys.secret, no_password)
    await registry.start()
    assert signers(registry) == {"signed": keys.id}
    reasons = {entry.name: entry.reason for entry in registry.index()}
    assert "it is not signed: got no manifest.json.minisig, expected one by one of keys" in reasons["later"]
    assert "it has no manifest.json that could be signed" in reasons["sum"]

    sign(later, keys.secret, no_password)  # its files have changed, so the next looks take it up
    for _ in range(2):
        await registry.refresh()
    assert signers(registry) == {"signed": keys.id, "later": keys.id}

    sign(signed, other.secret, no_password)
    await registry.load("signed")
    assert signers(registry)["signed"] == other.id

    edit_json(signed / "manifest.json", description="another")
    with pytest.raises(LoadRefused, match=f"no signature by key {other.id} of this manifest"):
        await registry.load("signed")
    assert signers(registry)["signed"] == other.id, "what was signed goes on"
    (later / SIGNATURE_FILE).unlink()
    await registry.unload("later")
    with pytest.raises(ModelNotReady, match="it is not signed"):
        await registry.load("later")
    await registry.drain()


def test_only_what_is_signed_serves_and_a_signature_is_taken_up(tmp_path: Path) -> None:
    keys, other = (make_keys(tmp_path / "keys", name) for name in ("ours", "another"))
    with ThreadPoolExecutor(2) as pool:
        asyncio.run(story(tmp_path / "models", keys, other, pool))


def test_a_key_that_is_none_is_a_failed_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "k.pub").write_text("nonsense")
    with pytest.raises(ValidationError, match="expected a public key of minisign"):
        Settings(trust=tmp_path / "k.pub")
    for workers in ("1", "2"):
        assert main(["serve", "--trust", str(tmp_path / "k.pub"), "--workers", workers]) == 2
        assert f"--trust: got '{tmp_path / 'k.pub'}'" in capsys.readouterr().err


def test_without_trust_nothing_is_asked(tmp_path: Path) -> None:
    assert Settings(models=tmp_path).trust is None
