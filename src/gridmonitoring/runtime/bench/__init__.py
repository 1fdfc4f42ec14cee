"""Benchmarks: ratios to a ceiling measured in the same run (`docs/benchmarks.md`).

Seconds and ratios are printed, never asserted.
"""
