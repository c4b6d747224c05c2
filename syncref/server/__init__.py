"""The sync server: HTTP API for tills, and the shell that drives ingest, feed and settlement."""
