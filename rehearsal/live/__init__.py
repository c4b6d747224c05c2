"""The live page: what a run looks like while it runs, what can be done to it by hand, and the start page."""
