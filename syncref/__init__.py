"""The reference sync between tills and back office. Knows nothing of the lab that tests it."""
