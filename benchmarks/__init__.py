"""What measures the server and the training loop. It is run by hand, never by the tests; see README.md."""
