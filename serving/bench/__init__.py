"""`baton bench`: a load generator for any server of the Open Inference Protocol.

The server imports nothing of it. It is a client: it knows the protocol and the clock, and no model.
"""
