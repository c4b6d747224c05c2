"""Benchmarks: run by `make bench`, not with the tests. Each gives figures by `benchmark.extra_info[NAME]`."""
