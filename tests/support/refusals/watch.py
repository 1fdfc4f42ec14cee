"""Lies of nodes about each other's copies and about silent meters (paper II-A, V-B)."""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.bodies import CopyDiffers, CopyHealed, CopyProof, Kind, Part
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import row_key_hash, row_value_hash
from gridmonitoring.processing.monitoring import COPY_DOMAIN, copy_document
from tests.support.acts import differing, mended, silence
from tests.support.refusals.scene import Lies, Scene

STRANGER = bytes(range(16))
"""A meter ID that no registrar made, and no node's ID either."""


def accused(scene: Scene, **changes: Any) -> bytes:
    """Return node-01's report about node-02's account row, as true as it can be but for the changes.

    `said` is what node-02 signed that its copy is; `by` who signed the statement.
    """
    application, other = scene.network.application, scene.signer("node-02")
    place = scene.meter.mid
    found, height = changes.pop("said", b"\7" * 32), changes.pop("height", application.height)
    block = application.truth.block(application.height)
    assert block is not None
    stored = application.truth.row(Table.ACCOUNT, place)
    assert stored is not None
    tree = application.tree.prove(row_key_hash(Table.ACCOUNT, place))
    document = copy_document(height, Table.ACCOUNT, place, found)
    statement = scene.signer(changes.pop("by", "node-02")).document(COPY_DOMAIN, document)
    proof = CopyProof(statement, changes.pop("note", block.note), tree.bucket, tree.path)
    said: dict[str, Any] = {
        "node": other.id,
        "part": Part.ROW,
        "table": int(Table.ACCOUNT),
        "place": place,
        "found": b"\7" * 32,
        "expected": row_value_hash(stored),
        "mid": b"",
        "good": 0,
        "proof": proof,
    }
    body = CopyDiffers(**{**said, **changes})
    return scene.signer("node-01").transaction(Kind.COPY_DIFFERS, body, scene.now)


def own(scene: Scene, node: str = "node-01", **changes: Any) -> bytes:
    """Return a node's report of its own copy."""
    body: CopyDiffers = scene.decoded(differing(scene.network, node, scene.now)).payload.body
    return scene.altered(scene.signer(node).transaction(Kind.COPY_DIFFERS, body, scene.now), node, **changes)


def note_of_one(scene: Scene) -> bytes:
    """Return the last note with one signature alone."""
    application = scene.network.application
    block = application.truth.block(application.height)
    assert block is not None
    lines = block.note.decode().splitlines()
    return "\n".join([*lines[:8], ""]).encode()


LIES: Lies = {
    "a copy accused without a proof": (
        "no_proof",
        lambda scene: accused(scene, proof=None),
    ),
    "a copy accused by what another node signed": (
        "bad_signature",
        lambda scene: accused(scene, by="node-03"),
    ),
    "a copy accused by a statement of another height": (
        "document_mismatch",
        lambda scene: accused(scene, height=1),
    ),
    "a copy accused of other content than it was said to have": (
        "document_mismatch",
        lambda scene: accused(scene, said=b"\6" * 32),
    ),
    "a copy accused of being right": (
        "no_difference",
        lambda scene: accused(scene, found=b"\1" * 32, expected=b"\1" * 32),
    ),
    "a copy held against what no quorum signed": (
        "bad_proof",
        lambda scene: accused(scene, note=note_of_one(scene)),
    ),
    "a copy held against another value than the quorum's": (
        "bad_proof",
        lambda scene: accused(scene, expected=b"\1" * 32),
    ),
    "a copy of a row that is not there": ("bad_proof", lambda scene: accused(scene, place=b"nowhere")),
    "the copy of no node": ("unknown_signer", lambda scene: accused(scene, node=STRANGER)),
    "a row of no table": ("bad_place", lambda scene: own(scene, part=Part.ROW)),
    "a tile with a table": ("bad_place", lambda scene: own(scene, table=int(Table.METER))),
    "a row that is another meter's than its key": (
        "bad_place",
        lambda scene: accused(scene, mid=scene.meter.mid),
    ),
    "a tile that is said to be proved": (
        "bad_proof",
        lambda scene: own(scene, proof=CopyProof(b"", b"", b"", ())),
    ),
    "one's own copy with a statement beside it": (
        "bad_proof",
        lambda scene: accused(scene, node=scene.signer("node-01").id),
    ),
    "a copy of no meter's data": ("unknown_meter", lambda scene: own(scene, mid=STRANGER)),
    "a copy reported twice": ("already_recorded", lambda scene: own(scene, "node-04", place=bytes(2))),
    "one copy too many": ("too_many_copies", lambda scene: own(scene, "node-04")),
    "healed what was not ill": ("nothing_to_heal", lambda scene: mended(scene.network, "node-02", scene.now)),
    "another node's copy healed": (
        "nothing_to_heal",
        lambda scene: scene.signer("node-02").transaction(
            Kind.COPY_HEALED, CopyHealed(Part.META, 0, bytes(2)), scene.now
        ),
    ),
    "the silence of no meter": (
        "unknown_meter",
        lambda scene: scene.altered(
            silence(scene.network, "node-01", scene.meter.mid, scene.now), "node-01", mid=STRANGER
        ),
    ),
    "the silence of a closed account": (
        "wrong_stage",
        lambda scene: silence(scene.network, "node-01", scene.closed.mid, scene.now),
    ),
    "the silence of a meter that has reported since": (
        "has_reported",
        lambda scene: silence(scene.network, "node-01", scene.meter.mid, scene.now, sequence=2),
    ),
    "a silence that is no silence": (
        "not_silent",
        lambda scene: silence(scene.network, "node-01", scene.neighbour.mid, scene.now),
    ),
    "a silence noticed twice": (
        "already_recorded",
        lambda scene: silence(scene.network, "node-02", scene.with_a_gap.mid, scene.now),
    ),
}
