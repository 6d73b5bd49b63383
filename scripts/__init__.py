"""What an operator runs, the pictures of the documentation, and what reads this repository for its own faults."""
