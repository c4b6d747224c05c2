"""Evidence: what the witnesses saw, exported to plain files and read back from them."""
