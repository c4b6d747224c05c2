"""Blocks that `tillproof gate` times."""
