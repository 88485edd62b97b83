"""Reads and writes Parquet files, by Arrow. Needs the extra `files`.

While an output is made, its partial file is a stream of Arrow's IPC format, which can be cut after any chunk and
resumed; at the end it becomes the Parquet file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.commands.annotate.job import Job
from service.commands.annotate.rows import Chunk, Layout, Lines, Position, Row, UnreadableInput
from service.commands.annotate.tables import column_of

BATCH_ROWS = 256
ROW_GROUP_ROWS = 65_536
OTHER_MEMBERS = "other_members"  # of a JSON object, which have no column or another type, as JSON
_MEMBER_TYPES: dict[pa.DataType, Any] = {  # of members that become columns, with the values that fit
    pa.bool_(): bool,
    pa.int64(): Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    pa.float64(): float,
    pa.string(): str,
}


class ParquetRows(Lines):
    """The rows of a Parquet file, as if each was a line; a position's bytes are the file's in proportion.

    Attributes:
        layout: its columns and their types.
    """

    def __init__(self, file: BufferedIOBase, name: str, size: int, job: Job) -> None:
        """Reads the file's metadata. Raises UnreadableInput."""
        super().__init__(file, name)
        self._job, self._size = job, size
        try:
            self._parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableInput(f"{name} is no valid Parquet file: {error}") from None
        fields = self._parquet.schema_arrow.remove_metadata()
        schema = pa.schema([field.with_type(_without_dictionary(field.type)) for field in fields])
        kind = schema.field(column_of(schema.names, job.text_column, name)).type
        tokenized = job.tokenized and pa.types.is_list(kind) and pa.types.is_string(kind.value_type)
        if not tokenized and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
            raise UnreadableInput(f"{name}: the column {job.text_column!r} is of the type {kind}, not string")
        self.layout = Layout(name, schema.names, schema=schema)
        self._rows = self._read(0)

    def seek(self, position: Position) -> None:
        """Continues at a position."""
        self.position = position
        self._rows = self._read(position.lines)

    def read_row(self) -> Row:
        """Reads a row. Raises StopIteration, and BadRow."""
        value, kept, record = next(self._rows)
        number = self.position.lines + 1
        self.position = Position(number, self._size * number // self._parquet.metadata.num_rows)
        if isinstance(value, list):
            return Row(number, "", list(filter(None, value)), kept, record=record)
        return self.text_row(number, value or "", self._job, kept)._replace(record=record)

    def _read(self, first: int) -> Iterator[tuple[Any, Mapping[str, Any], pa.RecordBatch | None]]:
        """Yields from a row on: the text; what is kept, as values to be written as text, or as a batch with types."""
        begin = 0  # of a batch
        for group in range(self._parquet.num_row_groups):
            rows = self._parquet.metadata.row_group(group).num_rows
            if begin + rows <= first:
                begin += rows
                continue
            for batch in self._parquet.iter_batches(BATCH_ROWS, row_groups=[group]):
                batch = batch.cast(self.layout.schema)
                texts = batch.column(self._job.text_column).to_pylist()
                values = [] if self._job.is_typed else _as_values(batch)
                for i in range(max(0, first - begin), len(batch)):
                    yield (texts[i], {}, batch.slice(i, 1)) if self._job.is_typed else (texts[i], values[i], None)
                begin += len(batch)


def strings(names: Sequence[str]) -> pa.Schema:
    """Returns columns of strings."""
    return pa.schema([(name, pa.string()) for name in names])


def schema_of_objects(head: str) -> pa.Schema:
    """Returns columns for the members of JSON objects, by those in the first lines.

    A member that is always a boolean, a whole number, a number or a string has that type. What is in no column, or of
    another type, is kept as JSON in a further column.
    """
    found: dict[str, list[Any]] = {}
    for line in head.split("\n"):
        with suppress(msgspec.DecodeError):  # the last one may be cut
            for name, value in msgspec.json.decode(line, type=dict[str, Any]).items():
                found.setdefault(name, []).append(value)
    types = {}
    for name, values in found.items():
        with suppress(pa.ArrowException, OverflowError):
            types[name] = pa.array(values).type
    fields = {name: kind for name, kind in types.items() if kind in _MEMBER_TYPES}
    return pa.schema(fields | {OTHER_MEMBERS: pa.string()})


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


def with_results(chunk: Chunk, results: Mapping[str, tuple[pa.DataType, Sequence[Any]]]) -> bytes:
    """Encodes rows with their results as a message of Arrow's IPC format, behind the schema if they are the first.

    `results` are the type and the values of each column behind those of the input.
    """
    rows, schema = chunk.rows, chunk.layout.schema
    if any(row.record is not None for row in rows):
        kept = pa.Table.from_batches([row.record for row in rows], schema)
    else:
        kept = pa.Table.from_pylist([_fitted(row.kept, schema) for row in rows], schema)
    lines = {} if "line" in schema.names else {"line": pa.array([row.line for row in rows], pa.int64())}
    columns = {name: pa.array(values, kind) for name, (kind, values) in results.items()}
    whole = pa.table(lines | dict(zip(schema.names, kept.columns, strict=True)) | columns).combine_chunks()
    begin = whole.schema.serialize().to_pybytes() if chunk.start == Position() else b""
    return begin + b"".join(batch.serialize().to_pybytes() for batch in whole.to_batches())


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


def _fitted(record: Mapping[str, Any], schema: pa.Schema) -> Mapping[str, Any]:
    """Returns a record whose values have the types of a schema; the others are in OTHER_MEMBERS."""
    if OTHER_MEMBERS not in schema.names:
        return record
    fitting: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in record.items():
        try:
            kind = _MEMBER_TYPES[schema.field(name).type]
            fitting[name] = msgspec.convert(value, kind | None)
        except (KeyError, msgspec.ValidationError):
            others[name] = value
    if others:
        fitting[OTHER_MEMBERS] = json.dumps(others, ensure_ascii=False)
    return fitting


def _as_values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Returns rows whose cells JSON can write: moments and decimals become strings."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        is_other = pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type)
        columns.append(pc.cast(column, pa.string()) if is_other else column)
    values: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return values
