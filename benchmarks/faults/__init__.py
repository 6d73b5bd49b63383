"""Faults that an operator meets, as a matrix: each is made for real, and the server is seen to bear it."""
