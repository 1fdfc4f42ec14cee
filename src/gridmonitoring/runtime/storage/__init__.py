"""Durable storage: the truth in one SQLite file per validator, and the detail store beside it."""
