"""The fields of Triton's `config.pbtxt`: honoured, or harmless and ignored, or refused by name, each with the reason.

A field is refused where ignoring it would change answers. `docs/repository.md` shows these tables, and a test holds
the two together.
"""

CONFIG_FILE = "config.pbtxt"

BATCHING = "baton.batching"

TRUSTED = "trusted"

THREADS = "intra_op_thread_count"

BACKENDS = {"platform": "onnxruntime_onnx", "backend": "onnxruntime", "runtime": "libtriton_onnxruntime.so"}

HONOURED = {
    "name": "has to be the folder's",
    "platform": f"`{BACKENDS['platform']}`, or absent",
    "backend": f"`{BACKENDS['backend']}`, or absent",
    "runtime": f"`{BACKENDS['runtime']}`, or absent",
    "version_policy": "before `--versions`",
    "max_batch_size": "0: rows of two requests never meet; N: a batch has at most N rows",
    "input.name": "has to be one of the graph's",
    "input.data_type": "has to be the graph's",
    "input.dims": "held against the graph's; what is narrower holds for requests",
    "input.reshape": "requests come in `dims`, the graph gets this",
    "input.format": "has to have 3 `dims`; shown to clients",
    "output.name": "has to be one of the graph's; outputs that are not listed are not answered",
    "output.data_type": "has to be the graph's",
    "output.dims": "held against the graph's",
    "output.reshape": "the graph gives this, answers have `dims`",
    "output.label_filename": "labels of the classification extension",
    "instance_group.kind": "only groups for the kind of `--device` count",
    "instance_group.count": "runs of the model at once",
    "instance_group.passive": "its instances do not count",
    "default_model_filename": "the graph's file in the version folder",
    "dynamic_batching.preferred_batch_size": "the biggest: rows with which a batch does not wait for more",
    "dynamic_batching.default_queue_policy.max_queue_size": "rows that may wait for a run before 429, at least a batch",
    "dynamic_batching.default_queue_policy.default_timeout_microseconds": "the deadline of an infer request",
    "optimization.graph.level": "-1 basic, 1 extended, 2 none, else all",
    "model_warmup": "what the model is warmed up and measured with",
    "parameters": f"`{THREADS}`, and those that begin with `baton.`",
}

IGNORED = {
    "input.optional": "a graph's input is needed by the graph",
    "instance_group.name": "instances have no names",
    "instance_group.gpus": "`--device` and CUDA_VISIBLE_DEVICES say where graphs run",
    "instance_group.profile": "TensorRT's",
    "instance_group.rate_limiter": "the number of runs is the limit",
    "instance_group.secondary_devices": "TensorRT's",
    "instance_group.host_policy": "runs have the CPUs of the process",
    "dynamic_batching.max_queue_delay_microseconds": "whoever comes is run as soon as a run is free",
    "dynamic_batching.preserve_ordering": "each answer goes to its own request",
    "dynamic_batching.priority_levels": "there are two: 1, and everything after it",
    "dynamic_batching.default_priority_level": "a request without a priority is one of level 1",
    "dynamic_batching.priority_queue_policy": "one queue",
    "dynamic_batching.default_queue_policy.timeout_action": "a request whose deadline passes is refused",
    "dynamic_batching.default_queue_policy.allow_timeout_override": "the nearer of the two deadlines holds",
    "metric_tags": "metrics have the labels that the dashboards know",
    "model_metrics": "histograms have the bounds that the dashboards know",
    "response_cache": "every request is run",
    "optimization.priority": "TensorRT's",
    "optimization.cuda": "TensorRT's",
    "optimization.execution_accelerators": "`--device` says where graphs run, in the precision that they have",
    "optimization.input_pinned_memory": "used where a device gains by it",
    "optimization.output_pinned_memory": "used where a device gains by it",
    "optimization.gather_kernel_buffer_threshold": "TensorRT's",
    "optimization.eager_batching": "TensorRT's",
}
"""Harmless, with the reason: answers are the same without it."""

REFUSED = {
    "ensemble_scheduling": "models are not chained here: ask each of them",
    "sequence_batching": "requests here have no state in common",
    "batch_input": "no input is made from the other requests of a batch",
    "batch_output": "no output is cut by the shapes of the other requests",
    "model_operations": "no library of operators is loaded",
    "model_repository_agents": "nothing checks or changes files before they are loaded",
    "cc_model_filenames": "one graph serves on every device: name it in default_model_filename",
    "model_transaction_policy.decoupled": "a request has one answer",
    "input.is_shape_tensor": "that is TensorRT's",
    "input.is_non_linear_format_io": "that is TensorRT's",
    "input.allow_ragged_batch": "rows of different shapes are not put into one batch",
    "output.is_shape_tensor": "that is TensorRT's",
    "output.is_non_linear_format_io": "that is TensorRT's",
}
"""Without it other answers would come, or none: why it is not offered."""
