"""The flags of a training in a test: the same fit on every machine, and nothing beside it."""

ALIKE = ("--threads", "1", "--accelerator", "cpu", "--no-progress")
FIXED = ("--seed", "5", "--precision", "32-true", *ALIKE, "--no-baseline")
