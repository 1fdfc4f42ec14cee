"""The transactions of `acts.story` with all keys in it, so that each can be altered and signed again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gridmonitoring.blockchain.bodies import PAYMENT_DOMAIN, REQUEST_DOMAIN
from gridmonitoring.blockchain.genesis import chain_id
from gridmonitoring.blockchain.transactions import DOMAIN
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, loads
from gridmonitoring.errors import BadSignature
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN
from gridmonitoring.keys.signatures import (
    SecretSeed,
    public_key_of,
    sign,
    signing_context,
    split,
    to_be_signed,
    verify_signature,
)
from gridmonitoring.processing.accounts import CLEAR_DOMAIN
from gridmonitoring.processing.closing import CLOSE_DOMAIN, PAYOUT_DOMAIN
from gridmonitoring.processing.disputes import RESOLVE_DOMAIN
from gridmonitoring.processing.governance import GOVERNANCE_DOMAIN
from gridmonitoring.processing.installations import AGREEMENT_DOMAIN, SWAP_DOMAIN
from gridmonitoring.registration.installation_code import CODE_DOMAIN
from gridmonitoring.registration.registrar import NEW_KEY_DOMAIN, REGISTRATION_DOMAIN, REPLACEMENT_DOMAIN
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.signature_checker import SignatureChecker
from tests.support.acts import story
from tests.support.mutations import leaves
from tests.support.network import small_network
from tests.support.replica import Replica

DOMAINS = (
    *(DOMAIN, REQUEST_DOMAIN, PAYMENT_DOMAIN, AGREEMENT_DOMAIN, REGISTRATION_DOMAIN, NEW_KEY_DOMAIN),
    *(
        GOVERNANCE_DOMAIN,
        SWAP_DOMAIN,
        CLOSE_DOMAIN,
        PAYOUT_DOMAIN,
        CLEAR_DOMAIN,
        CODE_DOMAIN,
        REPLACEMENT_DOMAIN,
    ),
    *(PAYOUT_DOMAIN, RESOLVE_DOMAIN, DELIVERY_DOMAIN),
)
"""Domain tags of whatever is signed in a transaction."""


class ToldStory:
    """A story that was decided, to be told again in other ways."""

    def __init__(self, folder: Path) -> None:
        small = small_network(folder, 1, 3)
        more = story(small)
        application = small.network.application
        self.genesis = small.network.document
        self.chain = chain_id(self.genesis)
        self.time = application.time
        """Time of the last block, ms; nothing in the story is signed later."""
        self.raws = [application.truth.transaction(index) for index in range(application.log.log.size)]
        """Every transaction that was accepted, in order."""
        self.known = _identifiers(self.raws)
        """IDs and hashes in the story."""
        self._checker = SignatureChecker()
        files = sorted(small.directory.keys.glob("*.json"))
        self._seeds = [read_keys(file)[2].seed for file in files] + [keys.seed for keys in more]
        self._seeds += [SecretSeed(code) for code in small.codes]
        small.close()
        self._signer = lru_cache(maxsize=None)(self._find_signer)

    def replica(self, upto: int = 0) -> Replica:
        """Return a chain that has executed the story's first transactions."""
        replica = Replica(self.genesis, self._checker)
        assert all(not outcome.rule for outcome in replica.block(self.raws[:upto], self.time))
        return replica

    def signed_again(self, message: bytes, payload: bytes) -> bytes:
        """Return another payload under a signature by whoever signed a COSE_Sign1 of the story."""
        context, seed = self._signer(message)
        return sign(seed, context, payload)

    def _find_signer(self, message: bytes) -> tuple[bytes, SecretSeed]:
        payload, signature = split(message)
        for domain in DOMAINS:
            context = signing_context(domain, self.chain)
            for seed in self._seeds:
                try:
                    verify_signature(public_key_of(seed), to_be_signed(context, payload), signature)
                except BadSignature:
                    continue
                return context, seed
        raise AssertionError("a signature of the story by nobody in it")


def _identifiers(raws: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return every ID, key and hash that stands in a transaction, each once."""
    found: dict[bytes, None] = {}
    for raw in raws:
        for _, leaf in leaves(loads(split(raw)[0], TRANSACTION_LIMIT)):
            if isinstance(leaf, bytes) and len(leaf) in (16, 32):
                found[leaf] = None
    return tuple(found)
