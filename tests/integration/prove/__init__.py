"""The proof on real processes."""
