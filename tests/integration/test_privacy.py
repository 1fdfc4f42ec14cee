"""What a household does is its own: a node's files show nothing private, and what is erased is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridmonitoring.blockchain.readings import reading_commitment
from gridmonitoring.contracts.consent import DAY_MS
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.errors import CannotOpen, Refused
from gridmonitoring.keys.channels import open_offer
from gridmonitoring.keys.detail_keys import ALL_PARTS, DetailKeys, KeyPlace, Part, day_of
from gridmonitoring.keys.sealed_boxes import open_aead, open_box, report_nonce
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.audit import audit
from gridmonitoring.runtime.healing import heal
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.reading import Reading, read
from gridmonitoring.runtime.sharing import erase
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.verification import verify_path
from gridmonitoring.smart_meter.channels import detail_context
from tests.support.home import logged
from tests.support.network import small_network
from tests.support.studied import HOUSE, Studied

CHUNK = 24
"""Bytes of a ciphertext that are looked for at a time."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studied]:
    found = Studied(small_network(tmp_path_factory.mktemp("private") / "data", 4, 1))
    yield found
    found.grid.close()


def bytes_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def strings(value: Any, size: int) -> Iterator[bytes]:
    """Yield every byte string of a size in decoded CBOR, also within byte strings that are CBOR."""
    if isinstance(value, list):
        for item in value:
            yield from strings(item, size)
    elif isinstance(value, bytes) and len(value) == size:
        yield value


def in_the_log(studied: Studied, size: int) -> set[bytes]:
    payloads = [loads(split(raw)[0], 1 << 20) for raw, _ in logged(studied.home.small)]
    return {found for payload in payloads for found in strings(payload, size)}


def test_from_a_full_copy_and_the_contract_key_nothing_private_can_be_read(template: Studied) -> None:
    """A validator's files, every channel key, and every byte string on the ledger as a key or salt."""
    grid, home = template.grid, template.home
    own: Reading = read(grid, home.consumer, template.own())
    _, _, contract = read_keys(grid.directory.key_file("contract"))
    store = DetailStore(grid.directory.node("node-01") / "details.db", read_only=True)
    channels = [
        open_offer(offer, {contract.hpke_key: contract.hpke_secret}, grid.chain_id).key
        for _, offer in store.channels()
    ]
    assert len(channels) >= 5, "reports can be opened: that is what the contract key is for"
    keys = {contract.hpke_secret, bytes(contract.seed), *channels, *in_the_log(template, 32)}
    for detail in own.details[:: len(own.details) // 8]:
        item = detail.item
        nonce = report_nonce(item.epoch, item.sequence)
        for part, sealed in zip(Part, loads(item.ciphertext, 1 << 20), strict=True):
            context = detail_context(grid.chain_id, home.mid, part)
            assert not any(opens(key, nonce, sealed, context) for key in keys)
    for reader in (home.consumer, template.researcher):
        for epoch, day, box in store.wrapped(home.mid, reader.keys.hpke_key):
            place = KeyPlace(grid.chain_id, home.mid, epoch, day)
            with pytest.raises(CannotOpen):
                open_box(1, contract.hpke_secret, place.info(reader.keys.hpke_key), box)
    store.close()
    settled = {item.index for item in own.settlements}
    hidden = [detail for detail in own.details if detail.item.index not in settled and detail.load]
    assert len(hidden) > 300
    known = b"".join(bytes_under(grid.directory.node("node-01")).values())
    salts = {bytes(16), *in_the_log(template, 16)}
    public = {item.registers for item in own.settlements}
    claims = {index: payload for index, (_, payload) in enumerate(logged(home.small))}
    for detail in hidden:
        assert detail.load is not None
        if detail.load.registers in public:
            continue
        assert encode(list(detail.load.registers[0])) not in known
        assert detail.load.salt not in known
    for detail in hidden[::40]:
        assert detail.load is not None
        said = claims[detail.item.index].body.reading
        assert reading_commitment(detail.load.salt, detail.load.registers) == said
        assert not any(reading_commitment(salt, detail.load.registers) == said for salt in salts)
    for text in (HOUSE, home.consumer.name):
        assert text.encode() not in known


def opens(key: bytes, nonce: bytes, sealed: bytes, context: bytes) -> bool:
    try:
        open_aead(key, nonce, sealed, context)
    except CannotOpen:
        return False
    return True


def remains(content: bytes, ciphertexts: list[bytes]) -> bool:
    """Tell whether any piece of any ciphertext is in the content."""
    pieces = (c[at : at + CHUNK] for c in ciphertexts for at in range(0, len(c) - CHUNK, CHUNK))
    return any(piece in content for piece in pieces)


def of_day(studied: Studied, day: int) -> list[bytes]:
    """Return the ciphertexts of a day, and the boxes of its keys."""
    found = studied.grid.details_of(studied.home.mid, limit=500)
    details = [ciphertext for _, time, ciphertext in found if time // DAY_MS == day]
    boxes = studied.grid.wrapped(studied.home.mid, studied.home.consumer.keys.hpke_key)
    return details[::6] + [box for _, period, box in boxes if day_of(period) == day]


def test_what_the_owner_erases_is_in_no_file_of_any_node(tmp_path: Path) -> None:
    studied = Studied(small_network(tmp_path / "data", 4, 1))
    grid, home = studied.grid, studied.home
    day = studied.first + 2
    gone, kept = of_day(studied, day), of_day(studied, day + 1)
    assert len(gone) > 15
    down = next(v for v in grid.engine.validators if v.name == "node-04")
    grid.take_down(down, "is out of order")
    before = tmp_path / "before.db"
    shutil.copy(grid.directory.node("node-04") / "details.db", before)

    erase(grid, home.consumer, home.mid, day, day)
    contents = bytes_under(grid.directory.root / "nodes")
    for path, content in contents.items():
        assert remains(content, gone) == (path.name == "details.db" and path.parent.name == "node-04"), path
    assert all(
        kept[0][:CHUNK] in contents[grid.directory.node(f"node-0{n}") / "details.db"] for n in (1, 2, 3)
    )
    grid.heal("node-04")
    assert not any(remains(content, gone) for content in bytes_under(grid.directory.root / "nodes").values())

    found = read(grid, studied.researcher, studied.wanted())
    assert {d.item.time // DAY_MS for d in found.details} == {day - 1, day + 1}
    assert {d.item.time // DAY_MS for d in read(grid, home.consumer, studied.own()).details} >= {
        day - 1,
        day + 1,
    }
    with pytest.raises(Refused, match="bad_erasure"):
        erase(grid, home.consumer, home.mid, day, studied.today)

    grid.close()
    directory = grid.directory
    assert verify_path(directory.root).verified
    assert audit(directory).verified
    shutil.copy(before, directory.node("node-02") / "details.db")
    named = audit(directory).findings
    assert {finding.node for finding in named if "erased" in finding.found} == {"node-02"}
    assert heal(directory).healed
    assert audit(directory).verified
    assert not any(remains(content, gone) for content in bytes_under(directory.root / "nodes").values())


def test_a_key_alone_does_not_pretend_to_be_another(template: Studied) -> None:
    """A reader who calls hashes keys has none, and comes to another commitment."""
    grid, home = template.grid, template.home
    detail = read(grid, template.researcher, template.wanted()).details[0]
    pretended = DetailKeys(ALL_PARTS, (bytes(32), bytes(32)))
    day = detail.item.time // DAY_MS
    assert pretended.commitment(home.mid, detail.item.epoch, day) != detail.item.keys
