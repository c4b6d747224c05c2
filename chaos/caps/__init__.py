"""Real limits on nodes: control groups version 1 and 2, systemd scopes, or none with the reason."""
