"""`tillproof prove`: plants known bugs and tells whether the judge convicts each, by the checker that must."""
