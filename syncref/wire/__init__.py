"""What travels: journal entries, the sync protocol between till and server, and both HTTP APIs' bodies."""
