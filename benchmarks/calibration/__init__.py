"""Calibration on draws of known models, and on the logits of shipped bundles."""
