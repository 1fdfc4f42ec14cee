"""The data processing and monitoring layer (paper III-A-2, IV-C and IV-D).

Forms, the state transition, validation of blocks by independent nodes, refusal back to the originator,
monitoring and forensics. Votes and their transport belong to `runtime`.
"""
