"""The registrar's one-time installation code: it enrols the device that it signs for (paper IV-A, V-A).

The code is the seed of a one-time Ed25519 key. The ledger has the public key, the installer's device the
code; what the device sends has the code's signature over its own new keys, never the code. So neither a
failed installation, nor a node that sees a successful one first, gives away what enrols another device.

Left out: how the code comes from the registrar to the installer, which is between people.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import Installation
from gridmonitoring.blockchain.ledger import Ledger, refuse, require_document
from gridmonitoring.blockchain.state_rows import SupplyPointRow
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BadSignature, EncodingError, Refused
from gridmonitoring.keys.signatures import (
    PublicKey,
    SecretSeed,
    open_signed,
    public_key_of,
    sign,
    signing_context,
)

CODE_DOMAIN = "gridmon/installation-code/1"
"""Domain tag of the code's signature on the keys of the device that it enrols."""


def code_key(code: bytes) -> PublicKey:
    """Return what the ledger has of a code of 32 bytes."""
    return public_key_of(SecretSeed(code))


def installation_document(mid: bytes, epoch: int, sign_key: bytes, hpke_key: bytes, succeeded: bool) -> bytes:
    """Return what a code signs: the device's public keys, and whether it was installed or failed."""
    return encode([mid, epoch, sign_key, hpke_key, succeeded])


def prove_code(code: bytes, chain_id: bytes, document: bytes) -> bytes:
    """Return the code's COSE_Sign1 over an installation document."""
    return sign(SecretSeed(code), signing_context(CODE_DOMAIN, chain_id), document)


def require_code(ledger: Ledger, point: SupplyPointRow, mid: bytes, body: Installation) -> None:
    """Require that the supply point's code was used for this device and outcome.

    Raises `Refused` (wrong_code, document_mismatch).
    """
    if not point.code_key:
        refuse("wrong_code", "the one-time installation code is used")
    context = signing_context(CODE_DOMAIN, ledger.chain.id)
    try:
        signed = open_signed(body.proof, point.code_key, context, ledger.check)
    except (BadSignature, EncodingError) as error:
        raise Refused("wrong_code", f"the one-time installation code is wrong: {error}") from error
    document = installation_document(mid, body.epoch, body.sign_key, body.hpke_key, body.succeeded)
    require_document(document, signed, "installation code's proof")
