"""What the deterministic tier counts: bytes, statements, commits, messages, virtual seconds."""
