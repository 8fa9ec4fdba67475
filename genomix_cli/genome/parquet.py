"""Reading of Parquet files, and conversion of text tables to Parquet in blocks."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from genomix_cli.errors import DataError, from_extra, guarded
from genomix_cli.provenance import facts_of

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a row group, which are compressed together and held in memory.
ROW_GROUP = 1 << 17
MISSING = "."
MAGIC = b"PAR1"
# Metadata key of the provenance lines.
_METADATA = "genomix"


class Column(NamedTuple):
    """Column of a table; in numeric columns, ``.`` and empty cells are missing values."""

    name: str
    kind: Literal["str", "int", "float"]


def require_pyarrow() -> None:
    """Raise MissingExtraError if pyarrow is not installed."""
    with from_extra("pyarrow", "parquet"):
        import_module("pyarrow.parquet")


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet table written by any program.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    DataError
        If the file is damaged.
    """
    import pandas as pd

    require_pyarrow()
    with guarded(path):
        return pd.read_parquet(path)


def write_parquet(source: Path, target: Path, columns: Sequence[Column] | None, name: str) -> None:
    """Convert a gzipped TSV to Parquet.

    Parameters
    ----------
    source : Path
        gzipped TSV; the line of column names follows ``##`` lines, which become metadata.
    target : Path
    columns : sequence of Column, optional
        Columns in the order of the table; by default, all are text.
    name : str
        Name of the output, for messages.

    Raises
    ------
    DataError
        If a cell does not have the type of its column.
    """
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    with gzip.open(source) as file:
        made = []
        while (line := file.readline().decode("utf-8", "backslashreplace")).startswith("##"):
            made.append(line.rstrip("\n"))
        names = line.rstrip("\n").split("\t")
        columns = columns or [Column(name, "str") for name in names]
        if names != [column.name for column in columns]:
            raise ValueError(f"the table has {names}, not {columns}")
        types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
        schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        schema = schema.with_metadata({_METADATA: json.dumps(facts_of(made))} if made else None)
        with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
            try:
                for group in _groups(pa, _batches(file, schema)):
                    writer.write_table(group, row_group_size=ROW_GROUP)
            except pa.ArrowInvalid as error:
                raise DataError(f"Parquet cannot hold a row: {error}", where=name) from error


def read_facts(path: Path) -> dict[str, list[str]]:
    """Return the metadata on how genomix made a Parquet file, by key; empty if it has none.

    Raises
    ------
    MissingExtraError
        If pyarrow is not installed.
    DataError
        If the file is damaged.
    """
    metadata = _metadata(path).metadata or {}
    try:
        return dict(json.loads(metadata.get(_METADATA.encode(), b"{}")))
    except ValueError as error:
        raise DataError("is damaged: its metadata is not JSON", where=path) from error


def parquet_size(path: Path) -> tuple[list[str], int]:
    """Return the names of columns and the number of rows; raises as :func:`read_facts` does."""
    found = _metadata(path)
    return list(found.schema.names), int(found.num_rows)


def _metadata(path: Path) -> Any:
    require_pyarrow()
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        return parquet.read_metadata(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"is damaged: {str(error).splitlines()[0]}", where=path) from error


def _batches(file: Any, schema: Any) -> Iterator[Any]:
    """Yield batches of typed rows as they are read from a TSV."""
    csv = import_module("pyarrow.csv")
    if not file.peek(1):
        return  # a table without rows
    yield from csv.open_csv(
        file,
        read_options=csv.ReadOptions(column_names=schema.names),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=schema, null_values=[MISSING, ""], strings_can_be_null=False
        ),
    )


def _groups(pa: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Yield tables of whole multiples of `ROW_GROUP` rows, and a last table with the rest.

    The bytes of the output then do not depend on the sizes of batches.
    """
    pending: list[Any] = []
    count = 0
    for batch in batches:
        pending.append(batch)
        count += batch.num_rows
        if count >= ROW_GROUP:
            table = pa.Table.from_batches(pending)
            whole = count // ROW_GROUP * ROW_GROUP
            yield table.slice(0, whole)
            pending, count = table.slice(whole).to_batches(), count - whole
    if pending:
        yield pa.Table.from_batches(pending)
