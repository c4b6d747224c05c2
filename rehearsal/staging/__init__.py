"""Staging: a shop of real processes, from an empty folder to tills that are ready to sell."""
