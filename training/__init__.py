"""Training: from a data set to a proved bundle, one command a task.

Imports `inference`, never `serving`. Nothing is imported here, so that a module pays only for what it uses.
"""
