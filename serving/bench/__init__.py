"""`baton bench`: load for any server that speaks the Open Inference Protocol, and an honest account of it.

Nothing here is imported by the server. It is a client: it knows the protocol and the clock, no model.
"""
