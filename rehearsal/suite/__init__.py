"""Performance suites as data: scenarios x profiles x loads, a combined report, and capacities."""
