"""Everything that touches the world (the paper's network of nodes, IV-C and IV-D, as running processes).

Configuration, clock, entropy and sealing, key files, storage, healing, nodes and meter agents. It holds no
rule of the ledger: those are in the pure folders, which it calls.
"""
