"""The command line `gridmon` (paper III-A-1): one command per thing a person can do or ask.

Every command has `--json`; errors are one line. It holds no rule of the ledger.
"""
