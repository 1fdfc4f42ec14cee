"""The vectors are what the code makes, and mean what the specification says to a reader of only them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import cbor2
import nacl.signing
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gridmonitoring.blockchain.checkpoint import require_minimal_quorum, verify_quorum
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.state_tree import RowProof, verify_row
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import CheckpointError, EncodingError, EvidenceError, MerkleError
from gridmonitoring.keys.signatures import verify_signature
from tools import make_vectors, verify_evidence

VECTORS: dict[str, Any] = json.loads(make_vectors.PATH.read_text(encoding="ascii"))
EVIDENCE = VECTORS["evidence"]
GENESIS = [bytes.fromhex(each["document"]) for each in EVIDENCE["genesis"]]


def double(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def single(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def plain(shown: Any) -> Any:
    if isinstance(shown, dict):
        return bytes.fromhex(shown["bytes"])
    return [plain(item) for item in shown] if isinstance(shown, list) else shown


def test_the_file_is_what_the_generator_makes() -> None:
    """Where this fails, `python -m tools.make_vectors` writes it anew."""
    assert make_vectors.PATH.read_text(encoding="ascii") == make_vectors.text()


@pytest.mark.parametrize("vector", VECTORS["encodings"], ids=lambda vector: vector["encoded"][:16])
def test_encodings(vector: dict[str, Any]) -> None:
    value, encoded = plain(vector["value"]), bytes.fromhex(vector["encoded"])
    assert cbor2.dumps(value) == encoded
    assert decode(encoded, type(value)) == value


@pytest.mark.parametrize("vector", VECTORS["refused_encodings"], ids=lambda vector: vector["encoded"][:16])
@pytest.mark.parametrize("kind", [int, bytes, str, bool, list])
def test_refused_encodings(vector: dict[str, Any], kind: type[Any]) -> None:
    with pytest.raises(EncodingError):
        decode(bytes.fromhex(vector["encoded"]), kind)


@pytest.mark.parametrize("vector", VECTORS["hashes"], ids=lambda vector: vector["what"])
def test_hashes(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["of"])
    if vector["what"] == "party ID":
        found = double(cbor2.dumps(["party/1", 9, data]))[:16]
    else:
        found = single(data) if vector["what"] == "sha256" else double(data)
    assert found.hex() == vector["is"]


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["public_key"][:8])
def test_signatures(vector: dict[str, Any]) -> None:
    raw = {name: bytes.fromhex(text) for name, text in vector.items() if name != "domain"}
    signing = nacl.signing.SigningKey(raw["seed"])
    context = cbor2.dumps([vector["domain"], raw["chain_id"]])
    message = cbor2.dumps(["Signature1", bytes.fromhex("a10127"), context, raw["payload"]])
    assert bytes(signing.verify_key) == raw["public_key"]
    assert message == raw["to_be_signed"]
    signature = signing.sign(message).signature
    assert cbor2.dumps([bytes.fromhex("a10127"), {}, raw["payload"], signature]) == raw["cose_sign1"]


@pytest.mark.parametrize("vector", VECTORS["transactions"], ids=lambda vector: str(vector["type"]))
def test_transactions(vector: dict[str, Any]) -> None:
    payload = cbor2.loads(bytes.fromhex(vector["cose_sign1"]))[2]
    assert double(payload).hex() == vector["id"]
    assert cbor2.loads(payload)[0] == vector["type"]


@pytest.mark.parametrize("vector", VECTORS["details"], ids=lambda vector: str(vector["sequence"]))
def test_details(vector: dict[str, Any]) -> None:
    """As docs/spec/access.md has it, with nothing of ours."""
    chain, mid, secret = (bytes.fromhex(vector[name]) for name in ("chain_id", "mid", "secret"))
    keys = [hmac.digest(secret, b"gridmon/detail-part/1" + bytes((part,)), "sha256") for part in (0, 1)]
    hashes = [single(b"gridmon/detail-key/1" + key) for key in keys]
    committed = ["gridmon/period-key/2", *hashes, mid, vector["epoch"], vector["period"]]
    assert double(cbor2.dumps(committed)).hex() == vector["commitment"]
    assert cbor2.loads(bytes.fromhex(vector["keys_of_profile_alone"])) == [
        *("detail-keys/1", 1),
        [keys[0], hashes[1]],
    ]
    nonce = vector["epoch"].to_bytes(4, "big") + vector["sequence"].to_bytes(8, "big")
    sealed = cbor2.loads(bytes.fromhex(vector["ciphertext"]))
    for part in (0, 1):
        context = b"gridmon/detail/2" + chain + mid + bytes((part,))
        assert AESGCM(keys[part]).decrypt(nonce, sealed[part], context).hex() == vector["parts"][part]


@pytest.mark.parametrize("vector", VECTORS["contract_keys"], ids=lambda vector: vector["channel"][:8])
def test_contract_keys(vector: dict[str, Any]) -> None:
    """As docs/spec/contract_key.md has it, with nothing of ours."""
    raw = {name: bytes.fromhex(text) for name, text in vector.items() if isinstance(text, str)}
    public = X25519PrivateKey.from_private_bytes(raw["secret"]).public_key().public_bytes_raw()
    assert public == raw["key"]
    tag, number, suite, named, since, ends = cbor2.loads(raw["successor"])
    assert (tag, suite, named) == ("successor/1", 1, public)
    assert 0 < number < since < ends
    context = cbor2.dumps(["gridmon/contract-key/1", raw["chain_id"]])
    protected, _, payload, signature = cbor2.loads(raw["approval"])
    node = nacl.signing.SigningKey(bytes.fromhex(VECTORS["signatures"][1]["seed"])).verify_key
    node.verify(cbor2.dumps(["Signature1", protected, context, payload]), signature)
    assert payload == raw["successor"]
    assert cbor2.loads(raw["command_document"]) == ["contract-key/1", 1, public]
    place = [raw["mid"], vector["epoch"], vector["period"]]
    info = ["gridmon/box/1", 1, raw["chain_id"], *place, public]
    assert cbor2.dumps(info) == raw["channel_info"]
    assert raw["offer"] == cbor2.dumps(["channel/1", *place, 1, public, bytes(80)])
    assert single(raw["offer"])[:16] == raw["channel"]


@pytest.mark.parametrize("vector", VECTORS["targets"], ids=lambda vector: vector["compact"])
def test_targets(vector: dict[str, Any]) -> None:
    exponent, *mantissa = bytes.fromhex(vector["compact"])
    assert int.from_bytes(bytes(mantissa), "big") * 256**exponent // 256**3 == int(vector["number"], 16)


@pytest.mark.parametrize("vector", VECTORS["headers"], ids=lambda vector: str(vector["nonce"]))
def test_headers(vector: dict[str, Any]) -> None:
    header = bytes.fromhex(vector["header"])
    target = int.from_bytes(header[77:80], "big") * 256 ** (header[76] - 3)
    hashes = [double(header[:80] + nonce.to_bytes(8, "big")) for nonce in range(vector["nonce"] + 1)]
    valid = [int.from_bytes(found, "big") < target for found in hashes]
    assert valid == [False] * vector["nonce"] + [True]
    assert hashes[-1].hex() == vector["block_hash"] == double(header).hex()


@pytest.mark.parametrize("vector", VECTORS["merkle_roots"], ids=lambda vector: str(len(vector["leaves"])))
@pytest.mark.parametrize(("name", "function"), [("sha256", single), ("sha256d", double)])
def test_merkle_roots(vector: dict[str, Any], name: str, function: Any) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in vector["leaves"]]

    def root(data: list[bytes]) -> bytes:
        if not data:
            return bytes(function(b""))
        if len(data) == 1:
            return bytes(function(b"\x00" + data[0]))
        middle = 1 << (len(data) - 1).bit_length() - 1
        return bytes(function(b"\x01" + root(data[:middle]) + root(data[middle:])))

    assert root(leaves).hex() == vector[name]["root"]
    peaks, rest = b"", leaves
    while rest:
        width = 1 << len(rest).bit_length() - 1
        peaks, rest = peaks + root(rest[:width]), rest[width:]
    assert peaks.hex() == vector[name]["peaks"]


@pytest.mark.parametrize("vector", VECTORS["state_trees"], ids=lambda vector: str(vector["bucket_bits"]))
def test_state_trees(vector: dict[str, Any]) -> None:
    root, bits = bytes.fromhex(vector["state_root"]), vector["bucket_bits"]
    for shown in vector["proofs"]:
        path = tuple(bytes.fromhex(sibling) for sibling in shown["path"])
        proof = RowProof(bytes.fromhex(shown["bucket"]), path)
        value = None if shown["value"] is None else bytes.fromhex(shown["value"])
        row_key = bytes.fromhex(shown["key"])
        verify_row(shown["table"], row_key, value, proof, root, bits)
        with pytest.raises(MerkleError):
            verify_row(shown["table"], row_key, b"another", proof, root, bits)


@pytest.mark.parametrize("vector", VECTORS["notes"], ids=lambda vector: vector["what"])
def test_notes(vector: dict[str, Any]) -> None:
    validators = [(v["name"], bytes.fromhex(v["public_key"]), v["power"]) for v in vector["validators"]]

    def check() -> None:
        require_minimal_quorum(vector["note"].encode(), validators)
        verify_quorum(vector["note"].encode(), validators, verify_signature)

    if vector["what"] == "a minimal quorum":
        check()
    else:
        with pytest.raises(CheckpointError):
            check()


@pytest.mark.parametrize("vector", EVIDENCE["proven"], ids=lambda vector: vector["what"])
def test_evidence_that_proves(vector: dict[str, Any]) -> None:
    bundle, genesis = bytes.fromhex(vector["bundle"]), GENESIS[vector["genesis"]]
    assert verify(bundle, genesis).chain_id.hex() == EVIDENCE["genesis"][vector["genesis"]]["chain_id"]
    assert verify_evidence.verify(bundle, genesis)["steps"]


@pytest.mark.parametrize("vector", EVIDENCE["refused"], ids=lambda vector: vector["what"])
def test_evidence_that_does_not(vector: dict[str, Any]) -> None:
    bundle, genesis = bytes.fromhex(vector["bundle"]), GENESIS[vector["genesis"]]
    with pytest.raises(EvidenceError) as refused:
        verify(bundle, genesis)
    with pytest.raises(verify_evidence.NotProven) as refused_alone:
        verify_evidence.verify(bundle, genesis)
    assert refused.value.step == refused_alone.value.step == vector["step"]
