"""The REST part of the Open Inference Protocol as its clients rely on it: a module a section, a test a line."""
