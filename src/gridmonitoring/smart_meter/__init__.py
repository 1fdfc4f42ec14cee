"""The smart meter (paper IV-B): registers, tamper inputs, relay and the in-home display.

The meter's side of the contract as a pure machine: readings and commands in, reports and effects out. The
agent that keeps its outbox on disk and talks to nodes is in `runtime`.
"""
