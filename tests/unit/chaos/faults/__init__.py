"""Twin tests: one per fault."""
