"""What load runs are made of, without Locust or a till."""
