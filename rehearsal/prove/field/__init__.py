"""Failures that the field reported, and that were measured on peers: each a story, and a planted twin of it.

The reference must pass every story, and the twin, which fails as the field did, must be convicted.
"""
