"""The sovereign blockchain (paper II-A, V-B and V-C): threads of parent blocks with their side blocks.

Merkle trees after RFC 9162, the 88-byte header, genesis, checkpoints, and evidence with its verification.
What a block means for credit and meters is decided elsewhere; this folder decides whether it is well made.
"""
