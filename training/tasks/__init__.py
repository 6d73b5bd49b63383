"""The three tasks: what differs between them, behind one protocol."""
