"""A served model in Triton's words: metadata, configuration, statistics."""

from dataclasses import replace

from serving.engine.context import StageTimes
from serving.engine.description import config, metadata, statistics
from serving.engine.metrics import ModelMetrics
from serving.engine.served_model import ServedModel
from tests.serving.servers import ThreadedServer


def model_of(server: ThreadedServer, name: str) -> ServedModel:
    return server.app.registry.get(name)


def test_metadata_names_every_version_and_tensor(server: ThreadedServer) -> None:
    told = metadata(model_of(server, "sum"), [3, 12])
    assert (told["versions"], told["platform"]) == (["3", "12"], "onnxruntime_onnx")
    assert told["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1, 3]}


def test_a_configuration_says_the_plan_under_its_new_and_its_older_name(server: ThreadedServer) -> None:
    model = model_of(server, "sum")
    told = config(model)
    instances = str(model.batcher.plan.instances)
    assert told["instance_group"] == [{"name": "sum", "kind": "KIND_CPU", "count": int(instances)}]
    parameters = {name: value["string_value"] for name, value in told["parameters"].items()}
    assert (parameters["instances"], parameters["concurrent_runs"]) == (instances, instances)
    assert "max_queue_rows" not in parameters, "nobody has set it"
    assert told["dynamic_batching"]["max_queue_delay_microseconds"] == 0


def test_a_graph_whose_first_axis_is_fixed_has_no_batching_and_all_its_axes(server: ThreadedServer) -> None:
    told = config(model_of(server, "whole"))
    assert (told["max_batch_size"], "dynamic_batching" in told) == (0, False)
    assert told["input"][0]["dims"] == [2, 3]


def test_text_is_called_a_string_in_a_configuration_and_bytes_in_metadata(server: ThreadedServer) -> None:
    model = model_of(server, "echo")
    assert config(model)["input"][0]["data_type"] == "TYPE_STRING"
    assert metadata(model, [1])["inputs"][0]["datatype"] == "BYTES"


def test_statistics_add_up_the_stages_that_triton_counts_together(server: ThreadedServer) -> None:
    metrics = ModelMetrics("sum", 1)
    metrics.observe_request(StageTimes(1, 2, 3, 4, 5, 6), rows=7, seconds_total=1e-6)
    metrics.observe_batch(7, 1, 4)
    model = model_of(server, "sum")
    told = statistics(_with(model, metrics))
    spent = {name: part["ns"] for name, part in told["inference_stats"].items()}
    assert (spent["queue"], spent["compute_input"], spent["compute_infer"], spent["compute_output"]) == (
        3, 1 + 2, 4, 5 + 6,
    )  # fmt: skip
    assert (told["inference_count"], told["execution_count"]) == (7, 1)
    assert [batch["batch_size"] for batch in told["batch_stats"]] == [7]


def _with(model: ServedModel, metrics: ModelMetrics) -> ServedModel:
    return replace(model, metrics=metrics)
