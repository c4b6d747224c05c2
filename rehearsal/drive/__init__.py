"""Driving: cashiers, clerks, stages and faults on one clock, and what is sampled meanwhile."""
