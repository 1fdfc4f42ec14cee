"""Simulators behind the production ports (paper IV-B: the homes and meters that report to the network).

Houses replayed from recorded readings, and faults for tests and demos. They implement the same ports as the
real devices, so nothing above them knows the difference.
"""
