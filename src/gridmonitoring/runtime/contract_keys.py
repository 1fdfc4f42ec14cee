"""The contract keys that an operator's nodes hold, and how a successor is made and approved (paper II-B).

keys/contract.json     the key pair of genesis
keys/contract-2.json   its first successor, and so on; an ended one may be destroyed

A node approves a successor whose secret it holds: else reports would be sealed to what nobody opens. Key
files are never overwritten; one that was made and not announced is taken the next time.

Left out: bringing a secret to the nodes of other operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridmonitoring.blockchain.bodies import Kind, RotateContractKey
from gridmonitoring.blockchain.contract_keys import FIRST
from gridmonitoring.blockchain.genesis import Successor
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.processing.contract_keys import CONTRACT_KEY_DOMAIN
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.key_files import read_keys, write_keys
from gridmonitoring.runtime.parties import Signer


def contract_key_file(directory: Directory, number: int) -> Path:
    """Return the key file of the contract key of a number."""
    return directory.key_file("contract" if number == FIRST else f"contract-{number}")


def held_secrets(directory: Directory) -> dict[bytes, bytes]:
    """Return contract key -> secret of all key files; raises `UserError` where one cannot be read."""
    files = [contract_key_file(directory, FIRST), *directory.keys.glob("contract-*.json")]
    pairs = [read_keys(path)[2] for path in sorted(files) if path.exists()]
    return {pair.hpke_key: pair.hpke_secret for pair in pairs}


def prepare_successor(directory: Directory, number: int) -> bytes:
    """Return the public key of a number that is to be announced, made if need be; raises `UserError`."""
    path = contract_key_file(directory, number)
    if not path.exists():
        write_keys(path, None, b"", new_keys())
    return read_keys(path)[2].hpke_key


def rotate(nodes: Sequence[Signer], successor: Successor, now: int) -> bytes:
    """Return the announcement of a successor that these nodes approve, sent by the first of them."""
    document = encode(successor)
    approving = sorted(nodes, key=lambda node: node.keys.sign_key)
    approvals = tuple((node.id, node.document(CONTRACT_KEY_DOMAIN, document)) for node in approving)
    return nodes[0].transaction(Kind.ROTATE_CONTRACT_KEY, RotateContractKey(document, approvals), now)
