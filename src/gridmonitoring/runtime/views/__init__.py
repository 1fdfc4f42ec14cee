"""Views: queryable copies of what the ledger says (paper III-A-5 and III-A-7).

Each view can be dropped and rebuilt from the truth, and nothing is decided from one.
"""
