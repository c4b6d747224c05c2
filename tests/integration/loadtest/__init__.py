"""Load runs against tills of the test's own making."""
