"""The registration and authentication layer (paper III-A-3 and IV-A): registrar and authenticator.

The registrar makes the meter ID, the authenticator verifies it, and only a reported installation gives access
to power. Personal data stays with the registrar's own records; here there are salted commitments only.
"""
