"""Triton's `config.pbtxt`: its schema, its fields, and a model's tensors under it."""
