"""Suites that several implementations of one interface must pass alike."""
