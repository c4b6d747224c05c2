"""Ways to run a shop: child processes, containers, simulation."""
