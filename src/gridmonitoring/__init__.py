"""GridMonitoring: a ledger for prepaid electricity that neither the utility nor the consumer can bend.

It implements sections II to V of the paper "GridMonitoring: Secured Sovereign Blockchain Based Monitoring
on Smart Grid" (IEEE Access 6, 2018). The folders from `encoding` to `data_center` are pure: time, entropy
and signature checking arrive as arguments. `runtime` touches the world, `user_layer` is what people use.
`docs/paper_map.md` names the file and the test behind each requirement, or says "not yet".
"""

__version__ = "0.1.0"
