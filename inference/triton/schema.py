"""The messages of Triton's `config.pbtxt`, as one table: names, types and numbers of every field that Triton knows.

A text in protobuf's text format can only be read against the messages that it is in. These are made in code, in a pool
of their own. So nothing is generated, and Triton's own messages may be loaded beside them. Fields and numbers follow
triton-inference-server/common, protobuf/model_config.proto; that they agree with those of Triton's client is a test.

Every field here can say whether it was set, which Triton's cannot: an absent `max_batch_size` is not one of 0.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = "ModelConfig"

# A line of a message is `name type number`. The type ends in * where the field is repeated, and `key:value` is a map.
# A | marks the fields of a message of which a text may set one only.
MESSAGES = {
    "ModelConfig": """
        name string 1; platform string 2; version_policy ModelVersionPolicy 3; max_batch_size int32 4
        input ModelInput* 5; output ModelOutput* 6; instance_group ModelInstanceGroup* 7
        default_model_filename string 8; cc_model_filenames string:string 9; metric_tags string:string 10
        dynamic_batching ModelDynamicBatching| 11; optimization ModelOptimizationPolicy 12
        sequence_batching ModelSequenceBatching| 13; parameters string:ModelParameter 14
        ensemble_scheduling ModelEnsembling| 15; model_warmup ModelWarmup* 16; backend string 17
        model_operations ModelOperations 18; model_transaction_policy ModelTransactionPolicy 19
        batch_input BatchInput* 20; batch_output BatchOutput* 21
        model_repository_agents ModelRepositoryAgents 23; response_cache ModelResponseCache 24
        runtime string 25; model_metrics ModelMetrics 26""",
    "ModelInput": """
        name string 1; data_type DataType 2; format Format 3; dims int64* 4; reshape ModelTensorReshape 5
        is_shape_tensor bool 6; allow_ragged_batch bool 7; optional bool 8; is_non_linear_format_io bool 9""",
    "ModelOutput": """
        name string 1; data_type DataType 2; dims int64* 3; label_filename string 4
        reshape ModelTensorReshape 5; is_shape_tensor bool 6; is_non_linear_format_io bool 7""",
    "ModelTensorReshape": "shape int64* 1",
    "ModelVersionPolicy": "latest Latest| 1; all All| 2; specific Specific| 3",
    "Latest": "num_versions uint32 1",
    "All": "",
    "Specific": "versions int64* 1",
    "ModelInstanceGroup": """
        name string 1; count int32 2; gpus int32* 3; kind InstanceKind 4; profile string* 5
        rate_limiter ModelRateLimiter 6; passive bool 7; secondary_devices SecondaryDevice* 8
        host_policy string 9""",
    "ModelRateLimiter": "resources Resource* 1; priority uint32 2",
    "Resource": "name string 1; global bool 2; count uint32 3",
    "SecondaryDevice": "kind SecondaryDeviceKind 1; device_id int64 2",
    "ModelDynamicBatching": """
        preferred_batch_size int32* 1; max_queue_delay_microseconds uint64 2; preserve_ordering bool 3
        priority_levels uint64 4; default_priority_level uint64 5; default_queue_policy ModelQueuePolicy 6
        priority_queue_policy uint64:ModelQueuePolicy 7""",
    "ModelQueuePolicy": """
        timeout_action TimeoutAction 1; default_timeout_microseconds uint64 2
        allow_timeout_override bool 3; max_queue_size uint32 4""",
    "ModelParameter": "string_value string 1",
    "ModelWarmup": "name string 1; batch_size uint32 2; inputs string:WarmupInput 3; count uint32 4",
    "WarmupInput": """
        data_type DataType 1; dims int64* 2
        zero_data bool| 3; random_data bool| 4; input_data_file string| 5""",
    "ModelOptimizationPolicy": """
        graph OptimizationGraph 1; priority ModelPriority 2; cuda Cuda 3
        execution_accelerators ExecutionAccelerators 4; input_pinned_memory PinnedMemoryBuffer 5
        output_pinned_memory PinnedMemoryBuffer 6; gather_kernel_buffer_threshold uint32 7
        eager_batching bool 8""",
    "OptimizationGraph": "level int32 1",
    "Cuda": "graphs bool 1; busy_wait_events bool 2; graph_spec GraphSpec* 3; output_copy_stream bool 4",
    "GraphSpec": "batch_size int32 1; input string:Shape 2; graph_lower_bound LowerBound 3",
    "LowerBound": "batch_size int32 1; input string:Shape 2",
    "Shape": "dim int64* 1",
    "ExecutionAccelerators": """
        gpu_execution_accelerator Accelerator* 1; cpu_execution_accelerator Accelerator* 2""",
    "Accelerator": "name string 1; parameters string:string 2",
    "PinnedMemoryBuffer": "enable bool 1",
    "ModelOperations": "op_library_filename string* 1",
    "ModelTransactionPolicy": "decoupled bool 1",
    "ModelRepositoryAgents": "agents Agent* 1",
    "Agent": "name string 1; parameters string:string 2",
    "ModelResponseCache": "enable bool 1",
    "ModelMetrics": "metric_control MetricControl* 1",
    "MetricControl": "metric_identifier MetricIdentifier 1; histogram_options HistogramOptions| 2",
    "MetricIdentifier": "family string 1",
    "HistogramOptions": "buckets double* 1",
    "BatchInput": "kind BatchInputKind 1; target_name string* 2; data_type DataType 3; source_input string* 4",
    "BatchOutput": "target_name string* 1; kind BatchOutputKind 2; source_input string* 3",
    "ModelSequenceBatching": """
        max_sequence_idle_microseconds uint64 1; control_input ControlInput* 2; direct StrategyDirect| 3
        oldest StrategyOldest| 4; state State* 5; iterative_sequence bool 6""",
    "ControlInput": "name string 1; control Control* 2",
    "Control": """
        kind ControlKind 1; int32_false_true int32* 2; fp32_false_true float* 3; data_type DataType 4
        bool_false_true bool* 5""",
    "StrategyDirect": "max_queue_delay_microseconds uint64 1; minimum_slot_utilization float 2",
    "StrategyOldest": """
        max_candidate_sequences int32 1; preferred_batch_size int32* 2
        max_queue_delay_microseconds uint64 3; preserve_ordering bool 4""",
    "State": """
        input_name string 1; output_name string 2; data_type DataType 3; dims int64* 4
        initial_state InitialState* 5; use_same_buffer_for_input_output bool 6; use_growable_memory bool 7""",
    "InitialState": """
        data_type DataType 1; dims int64* 2; zero_data bool| 3; data_file string| 4; name string 5""",
    "ModelEnsembling": "step Step* 1; max_inflight_requests uint32 2",
    "Step": """
        model_name string 1; model_version int64 2; input_map string:string 3; output_map string:string 4
        model_namespace string 5""",
}

ENUMS = {
    "DataType": """TYPE_INVALID TYPE_BOOL TYPE_UINT8 TYPE_UINT16 TYPE_UINT32 TYPE_UINT64 TYPE_INT8 TYPE_INT16
        TYPE_INT32 TYPE_INT64 TYPE_FP16 TYPE_FP32 TYPE_FP64 TYPE_STRING TYPE_BF16""",
    "Format": "FORMAT_NONE FORMAT_NHWC FORMAT_NCHW",
    "InstanceKind": "KIND_AUTO KIND_GPU KIND_CPU KIND_MODEL",
    "SecondaryDeviceKind": "KIND_NVDLA",
    "TimeoutAction": "REJECT DELAY",
    "ModelPriority": "PRIORITY_DEFAULT PRIORITY_MAX PRIORITY_MIN",
    "BatchInputKind": """BATCH_ELEMENT_COUNT BATCH_ACCUMULATED_ELEMENT_COUNT
        BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO BATCH_MAX_ELEMENT_COUNT_AS_SHAPE BATCH_ITEM_SHAPE
        BATCH_ITEM_SHAPE_FLATTEN""",
    "BatchOutputKind": "BATCH_SCATTER_WITH_INPUT_SHAPE",
    "ControlKind": "CONTROL_SEQUENCE_START CONTROL_SEQUENCE_READY CONTROL_SEQUENCE_END CONTROL_SEQUENCE_CORRID",
}
"""Values count from 0, in this order."""

_PACKAGE = "baton.triton"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = ("bool", "double", "float", "int32", "int64", "string", "uint32", "uint64")


@cache
def config_message() -> type[Any]:
    """The class of a whole `config.pbtxt`."""
    file = descriptor_pb2.FileDescriptorProto(name="baton/triton.proto", package=_PACKAGE, syntax="proto2")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in fields.replace("\n", ";").split(";"):
            if line.strip():
                _add(message, *line.split())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    made: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{ROOT}"))
    return made


def _add(message: Any, name: str, kind: str, number: str) -> None:
    kind, choice, _ = kind.partition("|")
    kind, repeated, _ = kind.partition("*")
    key, mapped, value = kind.partition(":")
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if mapped:
        entry = message.nested_type.add(name="".join(map(str.title, name.split("_"))) + "Entry")
        entry.options.map_entry = True
        _set_type(entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), key)
        _set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), value)
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{message.name}.{entry.name}"
    else:
        _set_type(field, kind)
    if mapped or repeated:
        field.label = _Field.LABEL_REPEATED
    if choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0


def _set_type(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type = _Field.TYPE_ENUM if kind in ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
