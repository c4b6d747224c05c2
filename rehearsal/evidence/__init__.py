"""Reads the witnesses into plain files that anyone can recompute."""
