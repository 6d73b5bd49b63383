"""A graph and how it is run: ONNX Runtime's sessions, providers and I/O bindings, and the CPUs that they may use."""
