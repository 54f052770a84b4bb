"""A guest that means harm: `python -m tests.hostile`, for our tests and for operators to try on their own set-ups.

Needs Python 3.9, msgpack, `protocol` and `tests.support.hostile_bytes`; nothing of hostd or of the agent.
"""
