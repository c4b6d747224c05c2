"""Network proxies between tills and servers: Toxiproxy, or the built-in one with the same HTTP API."""
