"""Bounded exhaustive check of the shipped cores: every order of a few events, messages and faults."""
