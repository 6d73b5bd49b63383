"""FastAPI's routes, a module a part of the protocols. Each builds a router from the parts that it is given."""
