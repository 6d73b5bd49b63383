"""Data: named public sets and the user's own files, their splits, and the loader that feeds the loop."""
