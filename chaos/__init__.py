"""Fleets of tills and servers, and the faults that befall them."""
