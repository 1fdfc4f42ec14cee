"""The energy center (paper III-A-6): supply and dispatch on request, tariffs, and what they cost.

Calendar, cumulative charge functions, lots of credit, debt and statements, all in exact integers. Forecasts
of demand are left to the data center.
"""
