"""What is proved of a model before it answers: golden examples, and that rows of one batch are independent."""
