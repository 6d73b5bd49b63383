"""Triton's `config.pbtxt`: its schema, what it says, and what the tensors of a model look like under it."""
