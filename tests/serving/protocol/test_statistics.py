"""2.7 Statistics extension, and the configuration that perf_analyzer reads with it."""

import json
from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import SUM, echo, infer

DURATIONS = {
    "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
}  # fmt: skip


def told(http: httpx.Client, path: str = "sum/") -> dict[str, Any]:
    (entry,) = http.get(f"/v2/models/{path}stats").json()["model_stats"]
    assert isinstance(entry, dict)
    return entry


def numbers(value: Any) -> list[int]:
    """Every number in an entry, at any depth."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [] if isinstance(value, str) else [value]


def test_an_entry_has_every_member(http: httpx.Client) -> None:
    infer(http, "sum", SUM)
    entry = told(http)
    assert set(entry) == {
        "name", "version", "last_inference", "inference_count", "execution_count", "inference_stats",
        "response_stats", "batch_stats", "memory_usage",
    }  # fmt: skip
    assert (entry["name"], entry["version"]) == ("sum", "1")
    assert entry["inference_stats"].keys() == DURATIONS
    assert all(set(duration) == {"count", "ns"} for duration in entry["inference_stats"].values())
    for batch in entry["batch_stats"]:
        assert set(batch) == {"batch_size", "compute_input", "compute_infer", "compute_output"}
    assert all(type(number) is int and number >= 0 for number in numbers(entry))
    assert told(http, "sum/versions/1/") == entry


def test_rows_and_batches_are_counted(http: httpx.Client) -> None:
    before = told(http, "flex/")
    infer(http, "flex", echo([0] * 6, [3, 2]))
    infer(http, "flex", echo([1, 2]))
    after = told(http, "flex/")
    assert after["inference_count"] - before["inference_count"] == 4
    assert after["execution_count"] - before["execution_count"] == 2
    assert after["last_inference"] >= before["last_inference"]
    sizes = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in after["batch_stats"]}
    assert sizes[3] >= 1
    assert sum(sizes.values()) == after["execution_count"]


def test_counts_only_rise_and_agree_with_each_other(http: httpx.Client) -> None:
    before = told(http)["inference_stats"]
    infer(http, "sum", SUM)
    http.post("/v2/models/sum/infer", content=b"{}")
    after = told(http)["inference_stats"]
    assert after["success"]["count"] - before["success"]["count"] == 1
    assert (
        after["fail"]["count"] == before["fail"]["count"]
    )  # a client's mistake counts in nothing, as in Triton
    assert after["queue"]["count"] == after["success"]["count"]
    for name in DURATIONS:
        for member in ("count", "ns"):
            assert after[name][member] >= before[name][member]


@pytest.mark.parametrize("model", ["sum", "flex", "whole", "types", "half", "echo", "brightness"])
def test_the_configuration_agrees_with_the_metadata(http: httpx.Client, model: str) -> None:
    config, metadata = http.get(f"/v2/models/{model}/config").json(), http.get(f"/v2/models/{model}").json()
    assert config["name"] == model
    assert config["model_transaction_policy"] == {"decoupled": False}
    batched = config["max_batch_size"] > 0
    assert ("dynamic_batching" in config) is batched
    for kind in ("input", "output"):
        assert [each["name"] for each in config[kind]] == [each["name"] for each in metadata[f"{kind}s"]]
        for ours, theirs in zip(config[kind], metadata[f"{kind}s"], strict=True):
            assert ([-1, *ours["dims"]] if batched else ours["dims"]) == theirs["shape"]
            assert ours["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES") == theirs["datatype"]


def test_the_configuration_tells_the_plan_by_which_the_model_is_run(http: httpx.Client) -> None:
    told = http.get("/v2/models/sum/profile").json()
    expected = {"threads": told["profile"]["chosen"]["threads"], **told["plan"]}
    parameters = http.get("/v2/models/sum/config").json()["parameters"]
    assert {name: value["string_value"] for name, value in parameters.items()} == {
        name: str(value) for name, value in expected.items() if value is not None
    }


def test_a_configuration_is_json_that_names_no_other_kind_of_model(http: httpx.Client) -> None:
    config = json.dumps(http.get("/v2/models/sum/config").json())
    for kind in ("sequence_batching", "ensemble_scheduling", "response_cache"):
        assert kind not in config
