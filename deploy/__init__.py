"""What an operator deploys, and the code that generates the parts of it that are generated."""
