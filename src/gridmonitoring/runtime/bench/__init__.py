"""Benchmarks: what the system does per second and per byte, beside the machine's own ceiling (paper VII).

The paper calls the system efficient without measuring it; these runs print figures and assert nothing.
"""
