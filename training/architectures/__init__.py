"""Architectures: one readable file each, and the registry that names them."""
