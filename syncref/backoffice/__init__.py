"""The back office: HTTP API for clerks over the server's database."""
