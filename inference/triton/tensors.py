"""A model's tensors under its `config.pbtxt`: held against the graph, and as clients see them.

A model then has two manifests. By the graph's own it is loaded, batched and run. Clients are held to the other, which
differs in narrower axes, reshapes and outputs that are kept back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.manifest import Manifest
from inference.triton.checks import Check
from inference.triton.config import TritonConfig
from inference.triton.shapes import Reshape, entry_of, graph_shapes, shown_spec
from inference.triton.warmup import warmup_tensors


@dataclass(frozen=True, slots=True)
class ClientView:
    """A model as clients see it: its manifest for them, and by tensor the reshapes between them and the graph."""

    manifest: Manifest
    inputs: Mapping[str, Reshape]
    outputs: Mapping[str, Reshape]


def bounded(config: TritonConfig, manifest: Manifest, bundle: Path, *, derived: bool) -> Manifest:
    """The manifest with the configuration's limit of rows; `ConfigInvalid` where the tensors do not agree.

    A `derived` manifest knows no more than the graph, so the configuration says whether it takes batches. A bundle's
    rows are proved to be independent, and its own limit stays the upper one.
    """
    check = Check(config, bundle)
    limit = config.max_batch_size
    if limit:
        check.first_axes(manifest)
    elif not derived:
        check.leaves_rows_alone()
    rows = _rows(config, manifest, derived=derived)
    found = manifest.model_copy(update={"max_batch_size": rows})
    check.tensors(found)
    warmup_tensors(config, found.inputs, bundle)
    return found


def client_view(config: TritonConfig | None, manifest: Manifest) -> ClientView:
    """The client's side of a model whose `manifest` is `bounded` already."""
    if config is None:
        return ClientView(manifest, {}, {})
    batched = bool(config.max_batch_size)
    inputs = [(spec, entry_of(config.inputs, spec.name)) for spec in manifest.inputs]
    outputs = [(spec, entry_of(config.outputs, spec.name)) for spec in manifest.outputs]
    if config.outputs:
        outputs = [(spec, entry) for spec, entry in outputs if entry is not None]
    shown = manifest.model_copy(
        update={
            "inputs": tuple(shown_spec(spec, entry, batched=batched) for spec, entry in inputs),
            "outputs": tuple(shown_spec(spec, entry, batched=batched) for spec, entry in outputs),
        }
    )
    return ClientView(
        shown,
        {
            spec.name: Reshape(entry.dims, target, batched)
            for spec, entry in inputs
            if entry is not None
            for target in graph_shapes(spec, entry, batched=batched)
        },
        {
            spec.name: Reshape(source, entry.dims, batched)
            for spec, entry in outputs
            if entry is not None
            for source in graph_shapes(spec, entry, batched=batched)
        },
    )


def _rows(config: TritonConfig, manifest: Manifest, *, derived: bool) -> int:
    """Rows of a batch at most; 0: none are put together."""
    limit, own = config.max_batch_size, manifest.max_batch_size
    entries = (*config.inputs, *config.outputs)
    if limit is None:
        # Without a max_batch_size `dims` are whole shapes: the first of them is the first axis.
        whole = all(entry.reshape is None and entry.dims[:1] in ((), (-1,)) for entry in entries)
        return own if whole or not derived else 0
    if derived:
        return limit
    return min(limit or 1, own)  # a bundle's rows need not meet, and are rows all the same
