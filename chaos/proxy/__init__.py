"""Network faults: Toxiproxy, wrapped, and a built-in proxy that speaks the same HTTP API."""
