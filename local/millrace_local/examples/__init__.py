"""The outside world of the examples: a source, receivers and GitHub, all on loopback.

They misbehave on purpose, by a fixed plan, and keep count, so that a run can be checked against
what the input says instead of being believed.
"""
