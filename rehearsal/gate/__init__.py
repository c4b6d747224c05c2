"""The gate: exact counts against a checked-in lock, and paired timings against a base revision."""
