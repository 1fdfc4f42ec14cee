"""A validator's CometBFT folder: its configuration, keys and genesis, and the sockets between both processes.

The configuration is for few nodes and low latency. CometBFT's chain begins a millisecond after ours was made,
so block times grow from genesis on. Its sockets are named without a folder, as it starts inside its own and
the kernel's names are short.

Left out: CometBFT's data, which is its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.light_block import comet_address, comet_chain_id
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import SecretSeed, public_key_of

EMPTY_BLOCKS_S = 60
"""Time between blocks when nothing happens, seconds."""
MEMPOOL = 256
"""Most packages that wait."""


class Peer(Struct, frozen=True):
    """Where another validator's CometBFT listens."""

    node_id: str
    """Its CometBFT node ID."""
    address: str
    """Host and port."""


class Home:
    """One validator's CometBFT folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config"
        self.data = root / "data"
        self.abci_socket = root / "abci.sock"
        self.rpc_socket = root / "rpc.sock"
        self.log = root / "cometbft.log"

    @property
    def exists(self) -> bool:
        """Whether it was made."""
        return (self.config / "config.toml").is_file()

    def make(self, genesis: Genesis, votes: SecretSeed, node: SecretSeed) -> None:
        """Write keys and genesis of one validator; `config` comes with `configure`."""
        self.config.mkdir(parents=True, mode=0o700)
        self.data.mkdir(mode=0o700)
        public = public_key_of(votes)
        key = {
            "address": comet_address(public).hex().upper(),
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _base64(public)},
            "priv_key": {"type": "tendermint/PrivKeyEd25519", "value": _base64(votes + public)},
        }
        _write_secret(self.config / "priv_validator_key.json", key)
        secret = {"type": "tendermint/PrivKeyEd25519", "value": _base64(node + public_key_of(node))}
        _write_secret(self.config / "node_key.json", {"priv_key": secret})
        _write_secret(self.data / "priv_validator_state.json", {"height": "0", "round": 0, "step": 0})
        document = json.dumps(comet_genesis(genesis), indent=1)
        (self.config / "genesis.json").write_text(document, encoding="utf-8")

    def configure(self, name: str, listen: str, peers: Sequence[Peer]) -> None:
        """Write config.toml: who the others are and where this one listens."""
        persistent = ",".join(f"{peer.node_id}@{peer.address}" for peer in peers)
        text = CONFIG.format(
            name=name, listen=listen, peers=persistent, empty=EMPTY_BLOCKS_S, mempool=MEMPOOL
        )
        (self.config / "config.toml").write_text(text, encoding="utf-8")

    def require(self) -> None:
        """Require that it was made; raises `UserError`."""
        if not self.exists:
            raise UserError(f"{self.root} holds no configuration of CometBFT")


def node_id(seed: SecretSeed) -> str:
    """Return the ID under which other CometBFT nodes know the holder of a node key."""
    return comet_address(public_key_of(seed)).hex()


def comet_genesis(genesis: Genesis) -> dict[str, object]:
    """Return CometBFT's genesis document of a chain."""
    began = datetime.fromtimestamp((genesis.created + 1) / 1000, UTC)
    return {
        "genesis_time": began.strftime("%Y-%m-%dT%H:%M:%S.") + f"{(genesis.created + 1) % 1000:03d}Z",
        "chain_id": comet_chain_id(genesis.origin()),
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(8 * 1024 * 1024), "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": "100000",
                "max_age_duration": str(14 * 86_400 * 10**9),
                "max_bytes": str(1024 * 1024),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": comet_address(validator.key).hex().upper(),
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _base64(validator.key)},
                "power": str(validator.power),
                "name": validator.name,
            }
            for validator in genesis.validators
        ],
        "app_hash": "",
    }


def _write_secret(path: Path, content: object) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


CONFIG = """\
# Written by gridmon: few nodes, low latency. What is not here has CometBFT's default.
proxy_app = "unix://abci.sock"
moniker = "{name}"
log_level = "error"

[rpc]
laddr = "unix://rpc.sock"
max_body_bytes = 8388608

[p2p]
laddr = "tcp://{listen}"
persistent_peers = "{peers}"
pex = false
addr_book_strict = false
allow_duplicate_ip = true
flush_throttle_timeout = "10ms"
send_rate = 102400000
recv_rate = 102400000
max_packet_msg_payload_size = 65536

[mempool]
size = {mempool}
max_tx_bytes = 1048576
max_txs_bytes = 67108864
cache_size = 1024
recheck = true
recheck_timeout = "5s"

[consensus]
timeout_propose = "1s"
timeout_propose_delta = "500ms"
timeout_prevote = "300ms"
timeout_prevote_delta = "200ms"
timeout_precommit = "300ms"
timeout_precommit_delta = "200ms"
timeout_commit = "100ms"
skip_timeout_commit = true
create_empty_blocks = false
create_empty_blocks_interval = "{empty}s"
peer_gossip_sleep_duration = "10ms"
peer_query_maj23_sleep_duration = "500ms"

[tx_index]
indexer = "null"
"""
