"""DuckDB, as far as it is used here: writing Parquet, and reading it where a query can reach nothing else.

DuckDB comes with the extra `data`; without it everything else of the package works. It is loaded when it is
first asked for, because that takes longer than most commands.

A connection for queries is closed in, in this order: only the named files may be opened; the tables are
views of them; then no other file, no network, no extension, and no change to any of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, get_type_hints

from gridmonitoring.data_center.copies import TABLES, AnyCopy
from gridmonitoring.data_center.exports import Column, ColumnType
from gridmonitoring.errors import StorageError, UserError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
"""Most memory of a connection."""
THREADS = 2
"""Threads of a connection."""
TIMEOUT_S = 60.0
"""How long a query may take, seconds."""
_TYPES = {int: "BIGINT", bytes: "BLOB", str: "VARCHAR"}
_COLUMN_TYPES = {ColumnType.INTEGER: "BIGINT", ColumnType.TEXT: "VARCHAR", ColumnType.BYTES: "BLOB"}
_CLOSED = {
    "temp_directory": "",
    "memory_limit": MEMORY,
    "threads": THREADS,
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
"""Settings of every connection."""

Columns = Sequence[tuple[str, str]]
"""(name, SQL type), in order."""


def table_columns(table: str) -> Columns:
    """Return the columns of a table of copies."""
    kinds = get_type_hints(TABLES[table])
    return [(name, _TYPES[kinds[name]]) for name in TABLES[table].__struct_fields__]


def export_columns(columns: Sequence[Column]) -> Columns:
    """Return the columns of an export."""
    return [(column.name, _COLUMN_TYPES[column.type]) for column in columns]


def connect() -> DuckDBPyConnection:
    """Return a connection in memory; raises `UserError` where DuckDB is not installed."""
    try:
        module = import_module("duckdb")
    except ImportError as error:
        raise UserError(
            "the columnar store needs DuckDB; install it with: pip install 'gridmonitoring[data]'"
        ) from error
    connection: DuckDBPyConnection = module.connect(":memory:", config=_CLOSED)
    return connection


@contextmanager
def faults() -> Iterator[None]:
    """Turn DuckDB's errors into `UserError` for a query, `StorageError` for files that cannot be used."""
    try:
        yield
    except Exception as error:
        module = import_module("duckdb")
        if not isinstance(error, module.Error):
            raise
        text = str(error).strip().splitlines()[0]
        if isinstance(error, module.IOException):
            raise StorageError(f"the columnar store: {text}") from error
        raise UserError(text) from error


def fill(connection: DuckDBPyConnection, table: str, columns: Columns, rows: Sequence[Any]) -> None:
    """Make a table in memory; `rows` are sequences or structs with values in the order of the columns."""
    declared = ", ".join(f'"{name}" {kind} NOT NULL' for name, kind in columns)
    connection.execute(f'CREATE TABLE "{table}" ({declared})')
    if rows:
        lists = ", ".join(f"unnest(?::{kind}[])" for _, kind in columns)
        values = [list(column) for column in zip(*map(_values, rows), strict=True)]
        connection.execute(f'INSERT INTO "{table}" SELECT {lists}', values)


def _values(row: Any) -> Sequence[Any]:
    fields: Sequence[str] | None = getattr(row, "__struct_fields__", None)
    return [getattr(row, name) for name in fields] if fields is not None else row


def write_file(columns: Columns, rows: Sequence[Any], path: Path, form: str) -> None:
    """Write rows into a file, `parquet` or `csv`, in their order; raises `StorageError`."""
    how = "FORMAT parquet, COMPRESSION zstd" if form == "parquet" else "FORMAT csv, HEADER true"
    with connect() as connection, faults():
        connection.execute(f"SET threads = 1; SET allowed_paths = [{_literal(path)}]")
        fill(connection, "rows", columns, rows)
        connection.execute(f"COPY rows TO {_literal(path)} ({how}, USE_TMP_FILE false)")


@contextmanager
def opened(
    files: Mapping[str, Sequence[Path]], rest: Mapping[str, Sequence[AnyCopy]]
) -> Iterator[DuckDBPyConnection]:
    """Open copies for queries: Parquet files of each table, and rows that are in none yet."""
    with connect() as connection:
        with faults():
            every = ", ".join(_literal(path) for paths in files.values() for path in paths)
            connection.execute(f"SET allowed_paths = [{every}]")
            for table in TABLES:
                columns = table_columns(table)
                fill(connection, f"{table}_waiting", columns, rest.get(table, ()))
                rows = connection.table(f"{table}_waiting")
                if files.get(table):
                    names = ", ".join(f'"{name}"' for name, _ in columns)
                    paths = [str(path) for path in files[table]]
                    rows = connection.read_parquet(paths).project(names).union(rows)
                rows.create_view(table)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        yield connection


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def select(
    connection: DuckDBPyConnection, sql: str, limit: int, timeout_s: float = TIMEOUT_S
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return (columns, up to `limit` rows) of one SELECT.

    Raises `UserError` for anything else, or where it takes too long.
    """
    module = import_module("duckdb")
    with faults():
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != module.StatementType.SELECT:
            raise UserError("one SELECT statement, and nothing else, can be asked")
        timer = Timer(timeout_s, connection.interrupt)
        timer.start()
        try:
            found = connection.execute(statements[0])
            return [str(column[0]) for column in found.description or ()], found.fetchmany(limit)
        except module.InterruptException as error:
            raise UserError(f"the query took longer than {timeout_s:g} seconds") from error
        finally:
            timer.cancel()
