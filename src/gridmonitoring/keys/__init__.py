"""Cryptographic keys (paper II-B): signatures, opening of sealed boxes, and period keys.

Signatures are COSE_Sign1 (RFC 9052) with Ed25519; boxes are HPKE (RFC 9180). Only checking, signing with a
given key and opening are here: generating keys and sealing draw entropy and live in `runtime`.
"""
