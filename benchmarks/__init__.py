"""Measurements of the server and the training loop, run by hand and never by the tests; see README.md."""
