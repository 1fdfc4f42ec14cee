"""The data center (paper III-A-7 and IV-C): copies of forms and readings for forecasting and research.

Schemas, aggregates and the floors below which none is given, exports, and the scoring of forecasts. It never
feeds back into the ledger.
"""
