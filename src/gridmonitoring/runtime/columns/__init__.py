"""The columnar store: the data center's copies on disk, in Parquet, queried with DuckDB (paper III-A-7).

A view: it can be dropped and rebuilt from the truth. What left the data center is no view; see `register`.
"""
