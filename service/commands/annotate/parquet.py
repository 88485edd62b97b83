"""Reads and writes Parquet files, by Arrow. Needs the extra `files`.

While an output is made, its partial file is a stream of Arrow's IPC format, which can be cut after any chunk and
resumed; at the end it becomes the Parquet file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.commands.annotate.rows import (
    TEXT_COLUMN,
    BadRow,
    InputOptions,
    Layout,
    Position,
    RawLine,
    Row,
    UnreadableInput,
    name_taken,
    text_row,
)
from service.formats.pieces import to_json

BATCH_ROWS = 256
ROW_GROUP_ROWS = 65_536
OTHER_MEMBERS = "other_members"  # of a JSON object, which have no column or another type, as JSON


def tokens_of(columns: Mapping[str, str]) -> pa.DataType:
    """Returns the type of a text's tokens. `columns` are the names of their types, by the names of their values."""
    return pa.list_(pa.struct([(name, pa.type_for_alias(kind)) for name, kind in columns.items()]))


def classification_types(labels: Sequence[str]) -> dict[str, pa.DataType]:
    """Returns the types of a label, of the probabilities of all, and of the score."""
    return {
        "label": pa.string(),
        "scores": pa.struct([(label, pa.float32()) for label in labels]),
        "score": pa.float32(),
    }


class ParquetRows:
    """The rows of a Parquet file, with the interface of `Lines`.

    Attributes:
        columns: their names.
        schema: their types.
        position: after the last row that was read; its bytes are the file's in proportion.
        row: always empty: the content of a bad row is not kept.
    """

    def __init__(self, file: BufferedIOBase, name: str, size: int, options: InputOptions) -> None:
        """Reads the file's metadata. Raises UnreadableInput."""
        self.name = name
        self.position = Position()
        self.row: list[RawLine] = []
        self._options, self._size = options, size
        try:
            self._file = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableInput(f"{name} is no valid Parquet file: {error}") from None
        fields = self._file.schema_arrow.remove_metadata()
        self.schema = pa.schema([field.with_type(_without_dictionary(field.type)) for field in fields])
        self.columns = self.schema.names
        self._column = options.text_column or TEXT_COLUMN
        if self._column not in self.columns:
            advice = f"name the one with the texts with --text-column; there are: {', '.join(self.columns)}"
            raise UnreadableInput(f"{name} has no column {self._column!r}: {advice}")
        if taken := [column for column in self.columns if column in options.taken_columns]:
            raise name_taken(f"{name} has a column", taken[0])
        kind = self.schema.field(self._column).type
        tokenized = options.tokenized and pa.types.is_list(kind) and pa.types.is_string(kind.value_type)
        if not tokenized and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
            raise UnreadableInput(f"{name}: the column {self._column!r} is of the type {kind}, not string")
        self._rows = self._read(0)

    @property
    def layout(self) -> Layout:
        """The columns."""
        return Layout(self.columns, self.columns.index(self._column))

    def seek(self, position: Position) -> None:
        """Continues at a position."""
        self.position = position
        self._rows = self._read(position.lines)

    def read(self, longest: int) -> Row:
        """Reads a row. Raises StopIteration, and BadRow."""
        value, record, cells = next(self._rows)
        number = self.position.lines + 1
        self.position = Position(number, self._size * number // self._file.metadata.num_rows)
        if isinstance(value, list):
            tokens = [token for token in value if token]
            row = Row(number, "", tokens)
        elif len(value or "") > longest:
            raise self.error(f"the text is longer than {longest} characters")
        else:
            row = text_row(self, number, value or "", self._options, longest)
        members = b"" if "line" in self.columns else b'"line":%d,' % number
        return row._replace(
            record=record, cells=[_cell(cell) for cell in cells.values()], members=members + _members(cells)
        )

    def error(self, reason: str, line: int | None = None) -> BadRow:
        """Returns an error that names the file and a row, by default the last one."""
        return BadRow(self.name, line or self.position.lines, reason)

    def _read(self, first: int) -> Iterator[tuple[Any, Any, Mapping[str, Any]]]:
        """Yields from a row on: the text; the row as (batch, place); its cells if they are to be written as text."""
        skipped = 0
        groups: list[int] = []
        for group in range(self._file.metadata.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if skipped + rows <= first and not groups:
                skipped += rows
            else:
                groups.append(group)
        if not groups:
            return
        for batch in self._file.iter_batches(BATCH_ROWS, row_groups=groups):
            if skipped + len(batch) <= first:
                skipped += len(batch)
                continue
            some = batch.slice(max(0, first - skipped)).cast(self.schema)
            skipped += len(batch)
            texts = some.column(self._column).to_pylist()
            cells: Iterable[Mapping[str, Any]] = [{}] * len(some) if self._options.typed else _as_values(some)
            for place, (text, known) in enumerate(zip(texts, cells, strict=True)):
                yield text, (some, place), known


def strings(names: Sequence[str]) -> pa.Schema:
    """Returns columns of strings."""
    return pa.schema([(name, pa.string()) for name in names])


def schema_of_objects(head: str) -> pa.Schema:
    """Returns columns for the members of JSON objects, by those in the first lines.

    A member that is always a boolean, a whole number, a number or a string has that type. What is in no column, or of
    another type, is kept as JSON in a further column.
    """
    kinds: dict[str, set[type]] = {}
    for line in head.split("\n"):  # the last one may be cut
        try:
            found = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(found, dict):
            for name, value in found.items():
                kinds.setdefault(name, set()).add(type(value))
    types = {name: _TYPES.get(frozenset(kind - {type(None)})) for name, kind in kinds.items()}
    return pa.schema({name: kind for name, kind in types.items() if kind is not None} | {OTHER_MEMBERS: pa.string()})


_TYPES = {
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
}
_PYTHON_TYPES: dict[pa.DataType, Any] = {
    pa.bool_(): bool,
    pa.int64(): int,
    pa.float64(): (int, float),
    pa.string(): str,
}


def kept(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    """Returns what is kept of the input, as columns of a schema."""
    if rows and isinstance(rows[0].record, tuple):
        pieces = []
        for _, some in groupby(rows, key=lambda row: id(row.record[0])):
            records = [row.record for row in some]
            pieces.append(records[0][0].take(pa.array([place for _, place in records])))
        return pa.Table.from_batches(pieces).combine_chunks().to_batches()[0]
    records = [_fitted(row.record or {}, schema) for row in rows]
    return pa.RecordBatch.from_pylist(records, schema)


def with_results(
    rows: Sequence[Row], schema: pa.Schema, results: Mapping[str, tuple[pa.DataType, Sequence[Any]]], first: bool
) -> bytes:
    """Encodes rows with their results as a message of Arrow's IPC format.

    `schema` is of what is kept of the input; `results` are the type and the values of each further column; `first` says
    whether the message begins the stream.
    """
    columns: dict[str, Any] = {}
    if "line" not in schema.names:
        columns["line"] = pa.array([row.line for row in rows], pa.int64())
    if schema.names:
        batch = kept(rows, schema)
        columns |= {name: batch.column(name) for name in schema.names}
    for name, (kind, values) in results.items():
        columns[name] = pa.array(values, kind)
    whole = pa.RecordBatch.from_pydict(columns)
    begin = whole.schema.serialize().to_pybytes() if first else b""
    message: bytes = begin + (whole.serialize().to_pybytes() if rows else b"")
    return message


def make_parquet(partial: Path, target: Path) -> None:
    """Writes a Parquet file of a stream of Arrow's IPC format."""
    with (
        pa.OSFile(str(partial), "rb") as file,
        pa.ipc.open_stream(file) as stream,
        pq.ParquetWriter(target, stream.schema, compression="zstd") as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in stream:
            waiting.append(batch)
            if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    """Returns a type whose values stand in the column itself: a stream's dictionaries would all have to come first."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _fitted(record: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Returns a record whose values have the types of a schema; the others are in OTHER_MEMBERS."""
    if OTHER_MEMBERS not in schema.names:
        return dict(record)
    fitting: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in record.items():
        place = schema.get_field_index(name)
        if place >= 0 and (value is None or _fits(value, schema.field(place).type)):
            fitting[name] = value
        else:
            others[name] = value
    if others:
        fitting[OTHER_MEMBERS] = json.dumps(others, ensure_ascii=False)
    return fitting


def _fits(value: Any, kind: pa.DataType) -> bool:
    if isinstance(value, bool):
        return bool(kind == pa.bool_())
    if isinstance(value, int) and kind == pa.int64():
        return -(2**63) <= value < 2**63
    return isinstance(value, _PYTHON_TYPES[kind])


def _as_values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Returns rows whose cells JSON can write: moments and decimals become strings."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        is_other = pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type)
        columns.append(pc.cast(column, pa.string()) if is_other else column)
    values: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return values


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value).decode()


def _members(cells: Mapping[str, Any]) -> bytes:
    return to_json(cells)[1:-1] if cells else b""
