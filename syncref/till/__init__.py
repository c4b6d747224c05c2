"""The till: HTTP API for cashiers, and the shells that drive journal, uplink and downlink."""
