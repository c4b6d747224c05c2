"""The protocol as pure state machines: step(state, event, *, now_ms) gives a new state and effects."""
