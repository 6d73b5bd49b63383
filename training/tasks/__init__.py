"""The tasks: a file each, their differences behind one protocol, and the registry that names them."""
