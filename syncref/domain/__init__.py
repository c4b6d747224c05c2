"""The shop's nouns: money, identities, masters. Pure: no database, socket, clock or randomness."""
