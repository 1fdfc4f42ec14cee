"""Every error this project raises, in one tree.

::

    GridMonitoringError
    ├── EncodingError            bytes that are not the one canonical encoding of what they claim
    │   ├── TooLarge             larger than its cap, refused before decoding
    │   ├── Malformed            not CBOR, or not of the structure's shape or bounds
    │   └── NotCanonical         decodes, but is not what we would have written
    ├── KeyMaterialError         keys, signatures and sealed boxes
    │   ├── BadSignature
    │   ├── BadPublicKey         small order, not on the curve, or of the wrong length
    │   └── CannotOpen           a sealed box that is not for this key and context
    ├── MerkleError              a proof that does not lead to the root
    ├── BlockError               a header or block that breaks a validation rule
    ├── CheckpointError          a signed note without its quorum, malformed or inconsistent
    ├── EvidenceError            a bundle that does not prove what it says (carries the step)
    ├── TariffError              a tariff, calendar or charge that cannot be computed
    │   ├── RegisterError        registers that cannot follow the last settled (carries code and readings)
    │   ├── CreditError          a lot that an account cannot take or give back
    │   └── AmountError          money or energy that is more than the ledger can hold
    ├── CapacityError            a booking that a window of generation has no room for
    ├── ContractError            a script or guard that cannot be evaluated
    │   └── UnexpectedEvent      an event that the meter's state does not expect
    ├── MeterError               a command or input that the meter does not accept
    │   ├── CommandIgnored       a command of another device, or one that came before (carries the number)
    │   └── StatementDiffers     a statement that is not the meter's own (carries field, ours, theirs)
    ├── Withheld                 an aggregate that must not leave the data center (carries why)
    ├── Refused                  a transaction that breaks a rule of the state (carries the rule)
    ├── AccessDenied             data that who asks may not have (carries the reason)
    ├── StorageError             what is on disk is not what was committed
    │   ├── Tampered             names the table and row
    │   └── DirectoryBusy        another process owns the directory
    ├── ConsensusError           no quorum, or a proposal that breaks a rule
    ├── ServiceError             a running node that did not answer a request as it should
    │   ├── NodeUnavailable      it stopped or is too slow; what was sent may have been done
    │   └── NodeFault            an error inside the node that nobody foresaw; it goes on
    └── UserError                an argument, file or configuration a person can mend
        ├── CometMissing         the CometBFT program is not there, or is another version
        ├── DataFileError        a readings file that cannot be used (carries file, line, column)
        └── BadTimeRange         a time or window that the recorded readings do not have

Foreign exceptions (cbor2, msgspec, nacl, cryptography, apsw) are wrapped where they enter.
"""

from __future__ import annotations


class GridMonitoringError(Exception):
    """Base of every error raised on purpose; its text is one line a person can act on."""


class EncodingError(GridMonitoringError):
    """Bytes that are not the one canonical encoding of what they claim to be."""


class TooLarge(EncodingError):
    """Input over its cap, refused before any decoding."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        """Bytes received."""
        self.limit = limit
        """Bytes allowed."""
        super().__init__(f"{size} bytes, at most {limit} are allowed")


class Malformed(EncodingError):
    """Not CBOR, or not of the expected shape, types and bounds."""


class NotCanonical(EncodingError):
    """Decodes, but is not the deterministic encoding (RFC 8949 4.2) of what it decodes to."""


class KeyMaterialError(GridMonitoringError):
    """Keys, signatures and sealed boxes."""


class BadSignature(KeyMaterialError):
    """A signature that does not verify under the key and context it should."""


class BadPublicKey(KeyMaterialError):
    """A public key of the wrong length, of small order or off the curve."""


class CannotOpen(KeyMaterialError):
    """A sealed box that is not for this key and context, or was altered."""


class MerkleError(GridMonitoringError):
    """A Merkle proof that does not lead to the root, or has the wrong shape."""


class BlockError(GridMonitoringError):
    """A header or block that breaks a validation rule."""


class CheckpointError(GridMonitoringError):
    """A signed note that is malformed, lacks its quorum or contradicts another."""


class EvidenceError(GridMonitoringError):
    """A bundle that does not prove what it says."""

    def __init__(self, step: int, message: str) -> None:
        self.step = step
        """Number of the first verification step that failed (docs/spec/evidence.md)."""
        super().__init__(f"step {step}: {message}")


class TariffError(GridMonitoringError):
    """A tariff, calendar or charge that cannot be computed."""


class RegisterError(TariffError):
    """Registers that cannot follow the last settled ones; nothing can be charged by them."""

    def __init__(self, code: bytes, reason: str, before: int, now: int) -> None:
        self.code = code
        """OBIS code of the register, 6 bytes."""
        self.before = before
        """Reading last settled, Wh; for a sum, what the parts come to."""
        self.now = now
        """Reading in the claim, Wh; 0 where there is none."""
        name = ".".join(str(part) for part in code[2:5])
        super().__init__(f"register {name} {reason}: {before} Wh, then {now} Wh")


class CreditError(TariffError):
    """A lot that an account cannot take or give back."""


class AmountError(TariffError):
    """Money or energy that is more than the ledger can hold."""


class CapacityError(GridMonitoringError):
    """Energy that a window of generation cannot give, take back or hold; nothing was booked."""

    def __init__(self, reason: str, asked: int, left: int) -> None:
        self.asked = asked
        """Energy asked for, Wh."""
        self.left = left
        """Energy that there is for it, Wh."""
        super().__init__(f"{reason}: {asked} Wh asked for, {left} Wh left")


class ContractError(GridMonitoringError):
    """A script or guard that cannot be read or evaluated; never taken for false."""


class UnexpectedEvent(ContractError):
    """An event that the meter's state does not expect; the state stays as it was."""

    def __init__(self, state: str, event: str) -> None:
        self.state = state
        """Name of the state."""
        self.event = event
        """Name of the event, or its number where it has none."""
        super().__init__(f"the state {state} does not expect the event {event}")


class MeterError(GridMonitoringError):
    """A command, statement or input that the meter does not accept."""


class CommandIgnored(MeterError):
    """A proven command that is not for this device, or that it has dealt with."""

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        """Number of the command; 0 where it is for another meter."""
        super().__init__(f"command {number} is not carried out: {reason}")


class StatementDiffers(MeterError):
    """A delivered statement that the meter's own registers, tariff and terms do not give."""

    def __init__(self, field: str, ours: str, theirs: str, overcharge: int) -> None:
        self.field = field
        """Name of the first field that differs."""
        self.ours = ours
        """The meter's value, printable."""
        self.theirs = theirs
        """The delivered value, printable."""
        self.overcharge = overcharge
        """Money charged too much, millionths of the minor unit; negative for too little."""
        super().__init__(f"the statement has {field} {theirs}, the meter's own has {ours}")


class Withheld(GridMonitoringError):
    """An aggregate that must not leave the data center; nothing was given and nothing recorded.

    Its text says neither which floor was missed nor by whom: that would be told to whoever asks.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        """`small` by itself, or `differencing` beside what left before; never shown."""
        super().__init__(
            "withheld: alone or beside what was given before, it would tell of too few households"
        )


class Refused(GridMonitoringError):
    """A transaction that breaks a rule of the state; nothing changed."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        """Closed name of the broken rule, as listed in docs/spec/rules.md."""
        super().__init__(f"{rule}: {message}")


class AccessDenied(GridMonitoringError):
    """Data that who asks may not have; where a request was made, it is on record."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        """`contracts.consent.Verdict` by name, in lower case, or "log_on"."""
        super().__init__(message)


class StorageError(GridMonitoringError):
    """What is on disk is not what was committed, or cannot be read."""


class Tampered(StorageError):
    """A stored row that does not lead to the committed root."""

    def __init__(self, table: str, key: str, message: str) -> None:
        self.table = table
        """Table of the row."""
        self.key = key
        """Key of the row, printable."""
        super().__init__(f"{table} {key}: {message}")


class DirectoryBusy(StorageError):
    """Another process owns the data directory."""


class ConsensusError(GridMonitoringError):
    """No quorum, or a proposal that breaks a rule."""


class ServiceError(GridMonitoringError):
    """A running node that did not answer a request as it should."""


class NodeUnavailable(ServiceError):
    """The node stopped or did not answer in time; whether the request was carried out is not known."""


class NodeFault(ServiceError):
    """An error inside the node that nobody foresaw; the request failed and the node goes on."""


class UserError(GridMonitoringError):
    """An argument, file or configuration that a person can mend."""


class CometMissing(UserError):
    """CometBFT is not installed here, or not in a version that can be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; `make cometbft` builds it, or GRIDMON_COMETBFT names it")


class DataFileError(UserError):
    """A file of recorded readings that cannot be used."""

    def __init__(self, file: str, reason: str, *, line: int | None = None, column: str | None = None) -> None:
        self.file = file
        """Path or name of the file, as the person gave it."""
        self.reason = reason
        """What is wrong."""
        self.line = line
        """Line of a text file, from 1; None where the fault has no line."""
        self.column = column
        """Name of the column, as in the header; None where the fault is not in one cell."""
        where = "" if line is None else f", line {line}"
        where += "" if column is None else f", column {column}"
        super().__init__(f"{file}{where}: {reason}")


class BadTimeRange(UserError):
    """A time or window that the recorded readings do not have."""
