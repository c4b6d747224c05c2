"""The Docker fleet: every node a container, driven by the engine's own API."""
