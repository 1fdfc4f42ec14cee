"""The user layer (paper III-A-1): where consumers, utilities, vendors and auditors meet the system.

Command line, demonstration, charts and documents. It asks `runtime` for everything and decides nothing.
"""
