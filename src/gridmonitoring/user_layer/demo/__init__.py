"""The demonstration (paper III-A-1, IV-B): houses of real readings on four nodes, from start to proof.

Its data are readings of one real house, attributed in NOTICE; several houses are different months of it.
"""
