"""Diagnostics tell the settings that are in force, and every version or why it does not answer."""

import asyncio
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy
import pytest

from inference.store.repository import ModelRepository
from serving.engine import diagnostics
from serving.engine.diagnostics import diagnose
from serving.engine.inflight import InflightBytes
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import Loaded
from tests.serving.servers import ThreadedServer


def test_a_model_is_told_with_its_plan_and_its_queue(server: ThreadedServer) -> None:
    told = diagnose(server.app.registry, "cpu", server.app.inflight)
    model = next(each for each in told["models"] if each["name"] == "brightness")
    served = server.app.registry.get("brightness")
    assert model["plan"] == served.batcher.plan.as_json()
    assert model["plan"]["concurrent_runs"] == model["plan"]["instances"]
    assert (model["threads"], model["measured"]) == (served.profile.chosen.threads, True)
    assert (model["queued_rows"], model["pending_rows"]) == (0, 0)
    assert model["graph_sha256"] == served.manifest.files["model.onnx"].sha256
    assert json.dumps(told), "it goes over the wire"


def test_a_model_whose_rows_stay_apart_says_why(server: ThreadedServer) -> None:
    told = diagnose(server.app.registry, "cpu", server.app.inflight)
    whole = next(each for each in told["models"] if each["name"] == "whole")
    assert "the first axis of input x is fixed" in whole["one_by_one"]


def test_libraries_are_told_with_their_versions_and_absent_ones_left_out(
    server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(name: str) -> str:
        if name == "msgspec":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(diagnostics, "version", known)
    libraries = diagnose(server.app.registry, "cpu", server.app.inflight)["libraries"]
    assert libraries["numpy"] == numpy.__version__
    assert "msgspec" not in libraries


def test_a_version_that_is_refused_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "bad/1").mkdir(parents=True)
    (tmp_path / "bad/1/manifest.json").write_text("{}")

    async def look() -> ModelRegistry:
        registry = ModelRegistry(ModelRepository(tmp_path), _never)
        await registry.start()
        return registry

    (entry,) = diagnose(asyncio.run(look()), "cpu", InflightBytes(1 << 20))["versions"]
    assert (entry["name"], entry["version"], entry["state"]) == ("bad", 1, "UNAVAILABLE")
    assert entry["reason"] == "ZeroDivisionError: a bug"


def _never(_: object) -> Loaded:
    raise ZeroDivisionError("a bug")
