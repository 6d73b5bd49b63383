"""Files that an operator deploys, and the code that generates some of them."""
