"""After the load: healing, draining, closing the day, and what is put on record."""
