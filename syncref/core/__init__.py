"""The protocol's pure cores: `step(state, event, *, now_ms) -> Step(state, effects)`, and nothing else.

No core reads a clock, draws a random number or touches a store: rows that were looked up and random draws
arrive inside events, and what is to be done leaves as effects, to be carried out in order.
"""
