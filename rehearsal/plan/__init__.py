"""Scenarios: what a run is asked to do, read from TOML and checked before anything starts."""
