"""What a node asks of its CometBFT: broadcast a package, the commit of a height; over its Unix socket.

Each call is one HTTP exchange on a connection of its own. Left out: everything else of CometBFT's RPC.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from gridmonitoring.blockchain.light_block import CometHeader
from gridmonitoring.errors import NodeUnavailable
from gridmonitoring.runtime.sockets import short_name

PATIENCE_S = 10.0
"""How long an answer may take, seconds."""
RETRY_S = 0.1
"""Time between two questions whether it is up, seconds."""
ANSWER_LIMIT = 8 * 1024 * 1024
"""Largest answer, bytes."""


class Signed(Struct, frozen=True):
    """A header with the commit that made its block final, as CometBFT has it; nothing is verified yet."""

    header: CometHeader
    """The header."""
    app_hash: bytes
    """The app_hash in it."""
    block_hash: bytes
    """The block's hash."""
    round: int
    """Round of the commit."""
    parts: tuple[int, bytes]
    """Part set that was signed with the hash."""
    votes: list[tuple[bytes, tuple[int, int], bytes]]
    """(validator's address, time of the vote, signature) of each vote for the block."""


class Rpc:
    """CometBFT's RPC at a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def broadcast(self, package: bytes) -> tuple[int, str]:
        """Have a package checked and spread; return (code, log) of the check. Raises `NodeUnavailable`."""
        encoded = base64.b64encode(package).decode()
        await self._up()
        answer = await self._call("broadcast_tx_sync", {"tx": encoded})
        return int(answer["code"]), str(answer["log"])

    async def commit(self, height: int) -> Signed:
        """Return the header and commit of a height; raises `NodeUnavailable`."""
        answer = await self._call("commit", {"height": str(height)})
        try:
            return _read_signed(answer["signed_header"])
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise NodeUnavailable(f"CometBFT's answer is not a signed header: {error!r}") from error

    async def _up(self) -> None:
        """Wait until CometBFT answers, as it does once it has started and replayed."""
        for _ in range(int(PATIENCE_S / RETRY_S)):
            if await self._answers():
                return
            await asyncio.sleep(RETRY_S)

    async def _answers(self) -> bool:
        try:
            await self._call("health", {})
        except NodeUnavailable:
            return False
        return True

    async def _call(self, method: str, parameters: dict[str, str]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
        head = f"POST / HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(PATIENCE_S):
                content = await self._exchange(head.encode() + body)
            answer = json.loads(content.partition(b"\r\n\r\n")[2])
        except (OSError, TimeoutError, ValueError) as error:
            raise NodeUnavailable(f"CometBFT does not answer `{method}`: {error!r}") from error
        if not isinstance(answer, dict) or "result" not in answer:
            told = answer.get("error") if isinstance(answer, dict) else None
            raise NodeUnavailable(f"CometBFT did not do `{method}`: {_reason(told)}")
        return answer["result"]

    async def _exchange(self, request: bytes) -> bytes:
        with short_name(self._path) as name:
            reader, writer = await asyncio.open_unix_connection(name, limit=ANSWER_LIMIT)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _reason(error: object) -> str:
    if isinstance(error, dict):
        return " ".join(f"{error.get('message', '')} {error.get('data', '')}".split())
    return str(error)


def _read_signed(signed: Any) -> Signed:
    header, commit = signed["header"], signed["commit"]
    last = header["last_block_id"]
    parts = commit["block_id"]["parts"]
    comet = CometHeader(
        (int(header["version"]["block"]), int(header["version"].get("app", 0))),
        int(header["height"]),
        _time(header["time"]),
        (_hex(last["hash"]), int(last["parts"]["total"]), _hex(last["parts"]["hash"])),
        _hex(header["last_commit_hash"]),
        _hex(header["data_hash"]),
        _hex(header["validators_hash"]),
        _hex(header["next_validators_hash"]),
        _hex(header["consensus_hash"]),
        _hex(header["last_results_hash"]),
        _hex(header["evidence_hash"]),
        _hex(header["proposer_address"]),
    )
    votes = [
        (_hex(vote["validator_address"]), _time(vote["timestamp"]), base64.b64decode(vote["signature"]))
        for vote in commit["signatures"]
        if vote["block_id_flag"] == 2
    ]
    return Signed(
        comet,
        _hex(header["app_hash"]),
        _hex(commit["block_id"]["hash"]),
        int(commit["round"]),
        (int(parts["total"]), _hex(parts["hash"])),
        votes,
    )


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


def _time(text: str) -> tuple[int, int]:
    """Return seconds and nanoseconds of RFC 3339 in UTC."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0
