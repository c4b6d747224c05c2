"""Locust cashiers and back-office clerks, their histories and latencies, and the benchmarks."""
