"""Smart contracts and what they agree on (paper III-A-4, III-A-5, V-A and Algorithm 1).

The meter rule as a literal transition table with guards, the script generated from an agreement, agreed
actions for violations, messages, and consent to data use. Effects are returned as data, never carried out.
"""
