"""Write the test vectors of the ledger's formats: `python -m tools.make_vectors`, at the top of the checkout.

Everything comes from fixed seeds, so that the file is the same wherever it is made; a test makes it again
and compares. What the vectors are is in tests/vectors/ledger.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain import merkle
from gridmonitoring.blockchain.checkpoint import decode_note, encode_note, minimal_quorum
from gridmonitoring.blockchain.genesis import Successor, ValidatorSet
from gridmonitoring.blockchain.header import Header, block_hash, encode_header, expand_target, find_nonce
from gridmonitoring.blockchain.readings import reading_commitment
from gridmonitoring.blockchain.state_rows import ContractKeyDocument
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash, row_value_hash
from gridmonitoring.blockchain.transactions import DOMAIN, decode_payload, party_id, transaction_context
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.keys.channels import ChannelOffer, channel_id, channel_info
from gridmonitoring.keys.detail_keys import Part, keys_of
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key, report_nonce
from gridmonitoring.keys.signatures import sign, sign_raw, signing_context, split, to_be_signed
from gridmonitoring.processing.contract_keys import CONTRACT_KEY_DOMAIN
from gridmonitoring.runtime.entropy import seal_aead
from gridmonitoring.smart_meter.channels import Appliances, Channel, LoadProfile, detail_context, join_parts
from tests.support.billing import flat, reading
from tests.support.evidence_cases import broken_bundles, proven_bundles
from tests.support.evidence_lies import lying_bundles
from tests.support.evidence_story import HIDDEN, SALT, tell
from tests.support.mini_chain import key, seed

PATH = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "ledger.json"

VALUES: list[Any] = [
    *(0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1),
    *(-1, -24, -25, -256, -257, 1 - 2**63, False, True, None),
    *(b"", b"\x00", bytes(23), bytes(24), bytes(256), "", "a", "\u00e9", "\u5b57"),
    *([], [1, [2, [3, []]]], ["reading/1", SALT, [[b"\x01\x00\x01\x08\x00\xff", 120_250]]], [0] * 24),
]
TARGETS = ("207fffff", "1f0fffff", "1d00ffff", "03123456", "01010000")
REFUSED_ENCODINGS: Mapping[str, str] = {
    "1800": "an integer in a longer head than it needs",
    "190018": "an integer in a longer head than it needs",
    "5801ff": "a string with a longer head than it needs",
    "980100": "an array with a longer head than it needs",
    "9f01ff": "an array of indefinite length",
    "5f4101ff": "a byte string of indefinite length",
    "a0": "a map",
    "a10127": "a map",
    "c100": "a tag",
    "c2420100": "a tag: a big number",
    "f90000": "a float",
    "fb3ff0000000000000": "a float",
    "f7": "a simple value that is not one of three",
    "e0": "a simple value that is not one of three",
    "0000": "a byte too many",
    "8101" + "00": "a byte too many",
    "8201": "an element too few",
    "42ff": "a string that is cut off",
    "61ff": "text that is not UTF-8",
    "6365cc81": "text that is not in normal form C",
    "81" * 25 + "00": "arrays 25 deep",
    "": "nothing at all",
}


def vectors() -> dict[str, Any]:
    """Return every vector, as values that JSON can hold; byte strings are hexadecimal."""
    return {
        "encodings": [{"value": _shown(value), "encoded": encode(value).hex()} for value in VALUES],
        "refused_encodings": [{"encoded": hexed, "because": why} for hexed, why in REFUSED_ENCODINGS.items()],
        "hashes": _hashes(),
        "signatures": [_signature(name) for name in ("meter", "node-1", "consumer")],
        "transactions": _transactions(),
        "details": [_detail(number) for number in (1, 2)],
        "contract_keys": [_contract_key(number) for number in (2, 3)],
        "targets": [_target(compact) for compact in TARGETS],
        "headers": [_header(compact) for compact in ("207fffff", "1f0fffff")],
        "merkle_roots": [_merkle(count) for count in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 21)],
        "state_trees": [_state_tree(bits) for bits in (4, 8)],
        "notes": _notes(),
        "evidence": _evidence(),
    }


def _shown(value: Any) -> Any:
    """Return a value with each byte string as {"bytes": hexadecimal}."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _hashes() -> list[dict[str, str]]:
    commitment = reading_commitment(SALT, HIDDEN)
    data = b"grid"
    return [
        {"what": "sha256", "of": data.hex(), "is": sha256(data).hex()},
        {"what": "sha256d", "of": data.hex(), "is": sha256d(data).hex()},
        {"what": "party ID", "of": key("node-1").hex(), "is": party_id(Role.NODE, key("node-1")).hex()},
        {"what": "tariff hash", "of": encode(flat()).hex(), "is": flat().digest.hex()},
        {
            "what": "reading commitment",
            "of": encode(["reading/1", SALT, reading(120_250)]).hex(),
            "is": commitment.hex(),
        },
    ]


def _signature(name: str) -> dict[str, str]:
    chain_id, payload = sha256d(b"a chain"), encode(["what", name, "signs"])
    context = transaction_context(chain_id)
    return {
        "seed": seed(name).hex(),
        "public_key": key(name).hex(),
        "domain": DOMAIN,
        "chain_id": chain_id.hex(),
        "payload": payload.hex(),
        "to_be_signed": to_be_signed(context, payload).hex(),
        "cose_sign1": sign(seed(name), context, payload).hex(),
    }


def _transactions() -> list[dict[str, Any]]:
    story = tell()
    found = []
    for raw in story.chain.raws:
        payload = decode_payload(split(raw)[0])
        found.append({"type": payload.kind, "id": sha256d(split(raw)[0]).hex(), "cose_sign1": raw.hex()})
    return found


def _detail(number: int) -> dict[str, Any]:
    """Return a sealed detail with the secret of its day, and what it opens to."""
    chain_id, mid, epoch, sequence, period = (
        sha256d(b"a chain"),
        b"a meter's ID ...",
        number,
        40 + number,
        19_675,
    )
    secret = sha256(b"secret of day %d" % number)
    keys = keys_of(secret)
    load = LoadProfile(SALT, tuple(reading(120_000 + number)), 120_000, (300, 20 * number))
    plain = [encode(load), encode(Appliances(120_000, ((Channel.KITCHEN, 5), (Channel.REST, number))))]
    nonce = report_nonce(epoch, sequence)
    sealed = [seal_aead(keys.key(p), nonce, plain[p], detail_context(chain_id, mid, p)) for p in Part]
    return {
        "chain_id": chain_id.hex(),
        "mid": mid.hex(),
        "epoch": epoch,
        "sequence": sequence,
        "period": period,
        "secret": secret.hex(),
        "commitment": keys.commitment(mid, epoch, period).hex(),
        "keys_of_profile_alone": encode(keys.narrowed(1 << Part.LOAD)).hex(),
        "parts": [part.hex() for part in plain],
        "ciphertext": join_parts(sealed).hex(),
    }


def _contract_key(number: int) -> dict[str, Any]:
    """Return a successor of the contract key, a node's approval, and what a meter makes of it."""
    chain_id, mid, epoch, period = sha256d(b"a chain"), b"a meter's ID ...", 1, 19_675 + number
    public = hpke_public_key(seed(f"contract {number}"))
    document = encode(Successor(number, SuiteNumber.X25519, public, 70 * number, 1_700_000_000_000 + number))
    approval = sign(seed("node-1"), signing_context(CONTRACT_KEY_DOMAIN, chain_id), document)
    offer = encode(ChannelOffer(mid, epoch, period, SuiteNumber.X25519, public, bytes(80)))
    return {
        "chain_id": chain_id.hex(),
        "secret": seed(f"contract {number}").hex(),
        "key": public.hex(),
        "successor": document.hex(),
        "approval": approval.hex(),
        "command_document": encode(ContractKeyDocument(SuiteNumber.X25519, public)).hex(),
        "mid": mid.hex(),
        "epoch": epoch,
        "period": period,
        "channel_info": channel_info(chain_id, mid, epoch, period, public).hex(),
        "offer": offer.hex(),
        "channel": channel_id(offer).hex(),
    }


def _target(compact: str) -> dict[str, str]:
    return {"compact": compact, "number": f"{expand_target(bytes.fromhex(compact)):064x}"}


def _header(compact: str) -> dict[str, Any]:
    version, target = bytes((0, 1, 0, 2)), bytes.fromhex(compact)
    header = Header(version, sha256d(b"previous"), sha256d(b"root"), 1_700_000_000_000, target, 0)
    whole = encode_header(replace(header, nonce=find_nonce(header)))
    return {"header": whole.hex(), "nonce": find_nonce(header), "block_hash": block_hash(whole).hex()}


def _merkle(count: int) -> dict[str, Any]:
    leaves = [bytes((number,)) * number for number in range(count)]
    roots = {}
    for name, function in (("sha256", sha256), ("sha256d", sha256d)):
        tree = merkle.CompactRange()
        for leaf in leaves:
            tree = tree.append(merkle.leaf_hash(leaf, function), function)
        roots[name] = {"root": tree.root(function).hex(), "peaks": tree.peaks.hex()}
    return {"leaves": [leaf.hex() for leaf in leaves], **roots}


def _state_tree(bits: int) -> dict[str, Any]:
    rows = [
        (table, bytes((number,)) * 16, encode([table, number])) for table in (3, 6, 14) for number in range(9)
    ]
    tree = StateTree(bits, [(row_key_hash(table, k), row_value_hash(value)) for table, k, value in rows])
    proofs = []
    for table, row_key, value in (*rows[:3], rows[-1], (3, bytes((200,)) * 16, None), (99, b"", None)):
        proof = tree.prove(row_key_hash(table, row_key))
        proofs.append(
            {
                "table": table,
                "key": row_key.hex(),
                "value": None if value is None else value.hex(),
                "bucket": proof.bucket.hex(),
                "path": [sibling.hex() for sibling in proof.path],
            }
        )
    shown = [{"table": table, "key": k.hex(), "value": value.hex()} for table, k, value in rows]
    return {"bucket_bits": bits, "rows": shown, "state_root": tree.root.hex(), "proofs": proofs}


def _notes() -> list[dict[str, Any]]:
    story = tell()
    whole = story.chain.full_note()
    powers = ValidatorSet(story.chain.validators).powers()
    checkpoint = decode_note(whole).checkpoint
    forged = [(name, public, sign_raw(seed("thief"), checkpoint.body())) for name, public, _ in powers[:3]]
    two = [(line.name, key(line.name), line.signature) for line in decode_note(whole).signatures[:2]]
    cases = {
        "a minimal quorum": minimal_quorum(whole, powers),
        "a quorum and one more": whole,
        "no quorum": encode_note(checkpoint, two),
        "signatures by another key": encode_note(checkpoint, forged),
    }
    validators = [
        {"name": name, "public_key": public.hex(), "power": power} for name, public, power in powers
    ]
    return [{"what": what, "validators": validators, "note": note.decode()} for what, note in cases.items()]


def _evidence() -> dict[str, Any]:
    genesis, proven = proven_bundles()
    documents = [genesis]
    refused = []
    for case in chain(broken_bundles(), lying_bundles()):
        if case.genesis not in documents:
            documents.append(case.genesis)
        at = documents.index(case.genesis)
        refused.append({"what": case.name, "genesis": at, "step": case.step, "bundle": case.bundle.hex()})
    return {
        "genesis": [
            {"document": document.hex(), "chain_id": sha256d(document).hex()} for document in documents
        ],
        "proven": [{"what": what, "genesis": 0, "bundle": bundle.hex()} for what, bundle in proven.items()],
        "refused": refused,
    }


def text() -> str:
    """Return the file's content: one vector on a line."""
    lines = []
    for name, group in vectors().items():
        parts = group.items() if isinstance(group, dict) else [("", group)]
        inner = [_group(part, items) for part, items in parts]
        body = ",\n".join(inner)
        lines.append(f'"{name}": {{\n{body}\n}}' if isinstance(group, dict) else f'"{name}": {body}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _group(name: str, items: list[Any]) -> str:
    listed = ",\n".join(json.dumps(item, ensure_ascii=True) for item in items)
    return (f'"{name}": ' if name else "") + f"[\n{listed}\n]"


def main() -> int:
    """Write the file; return 0."""
    PATH.write_text(text(), encoding="ascii")
    print(f"{PATH.name}: {PATH.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
