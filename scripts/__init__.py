"""What an operator runs: the walk, and the pictures of the documentation."""
