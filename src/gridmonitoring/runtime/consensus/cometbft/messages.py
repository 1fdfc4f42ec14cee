"""The messages between CometBFT v0.38 and an application: ABCI 2.0, as far as this application reads them.

Field numbers are the protocol's. A field that is not listed is skipped on reading and left at its default on
writing, as protocol buffers have it, so only what is used stands here.

Left out: vote extensions, events, gas, consensus parameters, proofs in CometBFT's own form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "gridmonitoring.abci"

_SCALARS = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}

Fields = Mapping[int, tuple[str, str]]
"""Number -> (name, type); `[]type` is repeated, a name of `MESSAGES` is a message. Enumerations are int32."""

MESSAGES: Mapping[str, Fields] = {
    "Timestamp": {1: ("seconds", "int64"), 2: ("nanos", "int32")},
    "PublicKey": {1: ("ed25519", "bytes")},
    "ValidatorUpdate": {1: ("pub_key", "PublicKey"), 2: ("power", "int64")},
    "Validator": {1: ("address", "bytes"), 3: ("power", "int64")},
    "Misbehavior": {
        1: ("type", "int32"),
        2: ("validator", "Validator"),
        3: ("height", "int64"),
        4: ("time", "Timestamp"),
        5: ("total_voting_power", "int64"),
    },
    "ExecTxResult": {1: ("code", "uint32"), 3: ("log", "string")},
    "Snapshot": {
        1: ("height", "uint64"),
        2: ("format", "uint32"),
        3: ("chunks", "uint32"),
        4: ("hash", "bytes"),
        5: ("metadata", "bytes"),
    },
    "RequestEcho": {1: ("message", "string")},
    "RequestFlush": {},
    "RequestInfo": {1: ("version", "string"), 4: ("abci_version", "string")},
    "RequestInitChain": {
        1: ("time", "Timestamp"),
        2: ("chain_id", "string"),
        4: ("validators", "[]ValidatorUpdate"),
        5: ("app_state_bytes", "bytes"),
        6: ("initial_height", "int64"),
    },
    "RequestQuery": {
        1: ("data", "bytes"),
        2: ("path", "string"),
        3: ("height", "int64"),
        4: ("prove", "bool"),
    },
    "RequestCheckTx": {1: ("tx", "bytes"), 2: ("type", "int32")},
    "RequestCommit": {},
    "RequestListSnapshots": {},
    "RequestOfferSnapshot": {1: ("snapshot", "Snapshot"), 2: ("app_hash", "bytes")},
    "RequestLoadSnapshotChunk": {1: ("height", "uint64"), 2: ("format", "uint32"), 3: ("chunk", "uint32")},
    "RequestApplySnapshotChunk": {1: ("index", "uint32"), 2: ("chunk", "bytes"), 3: ("sender", "string")},
    "RequestPrepareProposal": {
        1: ("max_tx_bytes", "int64"),
        2: ("txs", "[]bytes"),
        4: ("misbehavior", "[]Misbehavior"),
        5: ("height", "int64"),
        6: ("time", "Timestamp"),
        8: ("proposer_address", "bytes"),
    },
    "RequestProcessProposal": {
        1: ("txs", "[]bytes"),
        3: ("misbehavior", "[]Misbehavior"),
        4: ("hash", "bytes"),
        5: ("height", "int64"),
        6: ("time", "Timestamp"),
        8: ("proposer_address", "bytes"),
    },
    "RequestFinalizeBlock": {
        1: ("txs", "[]bytes"),
        3: ("misbehavior", "[]Misbehavior"),
        4: ("hash", "bytes"),
        5: ("height", "int64"),
        6: ("time", "Timestamp"),
        8: ("proposer_address", "bytes"),
    },
    "Request": {
        1: ("echo", "RequestEcho"),
        2: ("flush", "RequestFlush"),
        3: ("info", "RequestInfo"),
        5: ("init_chain", "RequestInitChain"),
        6: ("query", "RequestQuery"),
        8: ("check_tx", "RequestCheckTx"),
        11: ("commit", "RequestCommit"),
        12: ("list_snapshots", "RequestListSnapshots"),
        13: ("offer_snapshot", "RequestOfferSnapshot"),
        14: ("load_snapshot_chunk", "RequestLoadSnapshotChunk"),
        15: ("apply_snapshot_chunk", "RequestApplySnapshotChunk"),
        16: ("prepare_proposal", "RequestPrepareProposal"),
        17: ("process_proposal", "RequestProcessProposal"),
        20: ("finalize_block", "RequestFinalizeBlock"),
    },
    "ResponseException": {1: ("error", "string")},
    "ResponseEcho": {1: ("message", "string")},
    "ResponseFlush": {},
    "ResponseInfo": {
        1: ("data", "string"),
        2: ("version", "string"),
        3: ("app_version", "uint64"),
        4: ("last_block_height", "int64"),
        5: ("last_block_app_hash", "bytes"),
    },
    "ResponseInitChain": {2: ("validators", "[]ValidatorUpdate"), 3: ("app_hash", "bytes")},
    "ResponseQuery": {
        1: ("code", "uint32"),
        3: ("log", "string"),
        6: ("key", "bytes"),
        7: ("value", "bytes"),
        9: ("height", "int64"),
        10: ("codespace", "string"),
    },
    "ResponseCheckTx": {1: ("code", "uint32"), 3: ("log", "string"), 8: ("codespace", "string")},
    "ResponseCommit": {3: ("retain_height", "int64")},
    "ResponseListSnapshots": {1: ("snapshots", "[]Snapshot")},
    "ResponseOfferSnapshot": {1: ("result", "int32")},
    "ResponseLoadSnapshotChunk": {1: ("chunk", "bytes")},
    "ResponseApplySnapshotChunk": {1: ("result", "int32")},
    "ResponsePrepareProposal": {1: ("txs", "[]bytes")},
    "ResponseProcessProposal": {1: ("status", "int32")},
    "ResponseFinalizeBlock": {
        2: ("tx_results", "[]ExecTxResult"),
        3: ("validator_updates", "[]ValidatorUpdate"),
        5: ("app_hash", "bytes"),
    },
    "Response": {
        1: ("exception", "ResponseException"),
        2: ("echo", "ResponseEcho"),
        3: ("flush", "ResponseFlush"),
        4: ("info", "ResponseInfo"),
        6: ("init_chain", "ResponseInitChain"),
        7: ("query", "ResponseQuery"),
        9: ("check_tx", "ResponseCheckTx"),
        12: ("commit", "ResponseCommit"),
        13: ("list_snapshots", "ResponseListSnapshots"),
        14: ("offer_snapshot", "ResponseOfferSnapshot"),
        15: ("load_snapshot_chunk", "ResponseLoadSnapshotChunk"),
        16: ("apply_snapshot_chunk", "ResponseApplySnapshotChunk"),
        17: ("prepare_proposal", "ResponsePrepareProposal"),
        18: ("process_proposal", "ResponseProcessProposal"),
        21: ("finalize_block", "ResponseFinalizeBlock"),
    },
}
"""Message -> its fields. `Request` and `Response` are a choice of one field."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="gridmonitoring/abci.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        choice = name in {"Request", "Response"}
        if choice:
            message.oneof_decl.add(name="value")
        for number, (field_name, kind) in fields.items():
            element = kind.removeprefix("[]")
            field = message.field.add(name=field_name, number=number)
            repeated = FieldDescriptorProto.LABEL_REPEATED
            field.label = repeated if element != kind else FieldDescriptorProto.LABEL_OPTIONAL
            if element in _SCALARS:
                field.type = _SCALARS[element]
            else:
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{element}"
            if choice:
                field.oneof_index = 0
    return file


_POOL = DescriptorPool()
_POOL.Add(_file())
_CLASSES: Mapping[str, type[Message]] = {
    name: GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES
}


def new(name: str, **fields: Any) -> Any:
    """Return a message of `MESSAGES` with these fields."""
    return _CLASSES[name](**fields)
