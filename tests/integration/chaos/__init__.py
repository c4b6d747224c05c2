"""Fleets and faults on real processes."""
