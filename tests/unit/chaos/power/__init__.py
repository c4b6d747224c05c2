"""Tests of the power cut."""
