"""An operator's smoke test, the plots of the documentation, and tools that read this repository for its own faults."""
