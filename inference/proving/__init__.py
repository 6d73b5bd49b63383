"""Proofs before a model answers: its golden examples, and that the rows of one batch are independent."""
