"""Models on disk: the repository, the layout of a model's folder, and the bundle of one version."""
