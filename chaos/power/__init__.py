"""Power cuts on real processes: what a process wrote and never synced is taken back from its files."""
