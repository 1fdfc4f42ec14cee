"""COSE_Sign1 byte by byte, Ed25519 by RFC 8032, and every other byte refused."""

from __future__ import annotations

import cbor2
import nacl.bindings
import pytest

from gridmonitoring.errors import BadPublicKey, BadSignature, Malformed
from gridmonitoring.keys.signatures import (
    SecretSeed,
    assemble,
    check_public_key,
    open_document,
    open_signed,
    public_key_of,
    sign,
    sign_document,
    sign_raw,
    signing_context,
    split,
    to_be_signed,
    verify_signature,
)

# RFC 8032 section 7.1, test 3
SEED = SecretSeed(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
KEY = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
MESSAGE = bytes.fromhex("af82")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
CHAIN = bytes(range(32))
CONTEXT = signing_context("test/1", CHAIN)
PAYLOAD = b"a payload"
SIZES = [0, 1, 23, 24, 255, 256, 65535, 65536, 70000]


def test_ed25519_is_that_of_the_standard() -> None:
    assert public_key_of(SEED) == KEY
    assert sign_raw(SEED, MESSAGE) == SIGNATURE
    verify_signature(KEY, MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    ("key", "message", "signature"),
    [
        (KEY, MESSAGE + b"\x00", SIGNATURE),
        (KEY, b"", SIGNATURE),
        (KEY, MESSAGE, SIGNATURE[:-1] + b"\x0b"),
        (KEY[:-1] + b"\x24", MESSAGE, SIGNATURE),
        (bytes(32), MESSAGE, SIGNATURE),
        (KEY, MESSAGE, bytes(64)),
    ],
)
def test_other_signatures_do_not_verify(key: bytes, message: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature, match="does not verify"):
        verify_signature(key, message, signature)


@pytest.mark.parametrize(
    ("key", "message", "signature"),
    [
        (KEY[:31], MESSAGE, SIGNATURE),
        (KEY + b"\x00", MESSAGE, SIGNATURE),
        (b"", MESSAGE, SIGNATURE),
        (KEY, MESSAGE, b""),
        (KEY, MESSAGE[1:], SIGNATURE + MESSAGE[:1]),  # the same bytes, cut elsewhere
        (KEY, SIGNATURE[63:] + MESSAGE, SIGNATURE[:63]),
    ],
)
def test_keys_and_signatures_have_one_length(key: bytes, message: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature, match="32 and a signature of 64"):
        verify_signature(key, message, signature)


def test_the_order_of_the_curve_added_to_a_signature_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    number = int.from_bytes(SIGNATURE[32:], "little") + order
    with pytest.raises(BadSignature):
        verify_signature(KEY, MESSAGE, SIGNATURE[:32] + number.to_bytes(32, "little"))


def test_public_keys_that_may_be_registered() -> None:
    assert check_public_key(KEY) == KEY
    prime = 2**255 - 19
    small = [0, 1, prime - 1, prime, prime + 1]
    refused = [number.to_bytes(32, "little") for number in small]
    refused += [KEY[:31], KEY + b"\x00", b"", b"\x02" + bytes(31)]
    for wrong in refused:
        with pytest.raises(BadPublicKey, match="not a valid"):
            check_public_key(wrong)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_seeds_have_32_bytes(size: int) -> None:
    for function in (public_key_of, lambda seed: sign_raw(seed, b"")):
        with pytest.raises(BadPublicKey, match="seed has 32 bytes"):
            function(SecretSeed(bytes(size)))


def test_a_signature_binds_domain_and_chain() -> None:
    assert cbor2.dumps(["test/1", CHAIN]) == CONTEXT
    message = sign(SEED, CONTEXT, PAYLOAD)
    assert open_signed(message, KEY, CONTEXT, verify_signature) == PAYLOAD
    for other in (signing_context("test/2", CHAIN), signing_context("test/1", bytes(32))):
        with pytest.raises(BadSignature):
            open_signed(message, KEY, other, verify_signature)
    with pytest.raises(BadSignature):
        open_signed(message, public_key_of(SecretSeed(bytes(32))), CONTEXT, verify_signature)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_cose_sign1_of_the_standard(size: int) -> None:
    payload = bytes(size)
    protected = cbor2.dumps({1: -8})
    signed = cbor2.dumps(["Signature1", protected, CONTEXT, payload])
    assert to_be_signed(CONTEXT, payload) == signed
    message = cbor2.dumps([protected, {}, payload, nacl.bindings.crypto_sign(signed, SEED + KEY)[:64]])
    assert sign(SEED, CONTEXT, payload) == message
    assert split(message) == (payload, message[-64:])
    assert assemble(*split(message)) == message


@pytest.mark.parametrize("size", SIZES)
def test_surplus_missing_or_changed_bytes_are_malformed(size: int) -> None:
    message = assemble(bytes(size), SIGNATURE)
    head = len(message) - size - 66
    for at in [*range(head), len(message) - 66, len(message) - 65]:
        for change in (1, 0x80):
            changed = message[:at] + bytes([message[at] ^ change]) + message[at + 1 :]
            with pytest.raises(Malformed):
                split(changed)
    for wrong in (message + b"\x00", message[:-1], message[1:], b"\x00" + message, message[: head + 1]):
        with pytest.raises(Malformed):
            split(wrong)


@pytest.mark.parametrize(
    "head", ["5800", "5817", "590000", "5900ff", "5a00000000", "5a0000ffff", "5f40", "60", "f6", "41"]
)
def test_a_payload_has_one_head(head: str) -> None:
    start = assemble(b"", SIGNATURE)[:6]
    encoded = bytes.fromhex(head)
    for payload in (b"", bytes(23), bytes(255), bytes(65535)):
        with pytest.raises(Malformed):
            split(start + encoded + payload + b"\x58\x40" + SIGNATURE)


def test_the_shortest_message() -> None:
    message = assemble(b"", SIGNATURE)
    assert len(message) == 73
    assert split(message) == (b"", SIGNATURE)
    for size in range(73):
        with pytest.raises(Malformed, match="not a COSE_Sign1"):
            split(message[:size])


SEEDS = sorted((SecretSeed(bytes([number]) * 32) for number in range(3)), key=public_key_of)
KEYS = [public_key_of(seed) for seed in SEEDS]


def test_a_document_of_several_parties() -> None:
    document = sign_document(SEEDS[::-1], CONTEXT, PAYLOAD)
    assert document == [sign(seed, CONTEXT, PAYLOAD) for seed in SEEDS]
    assert open_document(document, KEYS, CONTEXT, verify_signature) == PAYLOAD
    assert open_document(document[:1], KEYS[:1], CONTEXT, verify_signature) == PAYLOAD


def test_documents_that_not_every_party_signed() -> None:
    document = sign_document(SEEDS, CONTEXT, PAYLOAD)
    malformed: list[tuple[list[bytes], list[bytes]]] = [
        ([], []),
        (document[:2], list(KEYS)),
        (document, list(KEYS[:2])),
        (document[::-1], list(KEYS[::-1])),
        ([document[0]] * 2, [KEYS[0]] * 2),
    ]
    for messages, keys in malformed:
        with pytest.raises(Malformed, match="one signature for each"):
            open_document(messages, keys, CONTEXT, verify_signature)
    with pytest.raises(BadSignature):
        open_document([document[0], document[2], document[1]], KEYS, CONTEXT, verify_signature)
    other = sign(SEEDS[2], CONTEXT, b"another payload")
    with pytest.raises(Malformed, match="different documents"):
        open_document([*document[:2], other], KEYS, CONTEXT, verify_signature)
