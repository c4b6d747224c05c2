"""Pipeline files against their services' published schemas, and their scripts against every exit code."""
