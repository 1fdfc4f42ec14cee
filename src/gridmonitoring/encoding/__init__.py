"""Deterministic encoding: the one byte form of every structure (paper II-A and V-B, which leave it open).

Deterministic CBOR after RFC 8949 section 4.2, the identifier types, and the bounds of every quantity.
It knows nothing of keys or blocks; what is signed or hashed anywhere else is made of bytes made here.
"""
