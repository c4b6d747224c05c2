"""Runs a scenario, judges it with independent checkers, and reports."""
