"""Reads and writes Parquet files, by Arrow. Needs the extra `files`.

While an output is made, its partial file has a line of JSON for each row; at the end it becomes the Parquet file.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.artifact.manifest import ModelVersion
from service.commands.annotate.forms import TOKEN_COLUMNS
from service.commands.annotate.job import Job
from service.commands.annotate.readers import column_of
from service.commands.annotate.rows import NOTHING, Layout, Position, Reader, Row, UnreadableInput
from service.pipelines.formats import to_json
from service.tasks.sentiment import SCORE, has_score

BATCH_ROWS = 256
GROUP_ROWS = 65_536
OTHER_MEMBERS = "other_members"  # of JSON objects, if their values differ in type or have a type that is not below
TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


class PartialRow(msgspec.Struct):
    """A row of the partial file."""

    line: int
    kept: dict[str, Any]
    results: dict[str, Any]


class ParquetRows(Reader):
    """Parquet, as if each row was a line; a position's bytes are the file's in proportion.

    Attributes:
        file: with the metadata of the file.
    """

    def __init__(self, file: BufferedIOBase, head: bytes, name: str, job: Job) -> None:
        super().__init__(file, head, name, job)
        self._size = os.fstat(file.fileno()).st_size
        try:
            self.file = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableInput(f"{name} is no valid Parquet file: {error}") from None
        schema = self.file.schema_arrow
        kind = schema.field(column_of(schema.names, job.text_column, name)).type
        tokenized = job.tokenized and pa.types.is_list(kind) and pa.types.is_string(kind.value_type)
        if not tokenized and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
            raise UnreadableInput(f"{name}: the column {job.text_column!r} is of the type {kind}, not string")
        self.layout = Layout(name, schema.names)
        self._rows = self._read(0)

    def seek(self, position: Position) -> None:
        self.position = position
        self._rows = self._read(position.lines)

    def read(self) -> Row:
        value, kept = next(self._rows)
        number = self.position.lines + 1
        self.position = Position(number, self._size * number // self.file.metadata.num_rows)
        if isinstance(value, list):
            return Row(number, "", list(filter(None, value)), kept)
        return self.text_row(number, value or "", kept)

    def _read(self, first: int) -> Iterator[tuple[Any, Mapping[str, Any]]]:
        """Yields from a row on: the text, and what is kept: nothing for Parquet, see `make_parquet`."""
        begin = 0  # of a batch
        for group in range(self.file.num_row_groups):
            rows = self.file.metadata.row_group(group).num_rows
            if begin + rows <= first:
                begin += rows
                continue
            for batch in self.file.iter_batches(BATCH_ROWS, row_groups=[group]):
                texts = batch.column(self._job.text_column).to_pylist()
                values = [NOTHING] * len(batch) if self._job.form == "parquet" else _as_values(batch)
                yield from zip(texts[max(0, first - begin) :], values[max(0, first - begin) :], strict=True)
                begin += len(batch)


def types_of_results(version: ModelVersion, job: Job) -> dict[str, pa.DataType]:
    """Returns the types of the columns of results, by their names."""
    if job.task == "tag":
        columns = {"sentence": "int32", **TOKEN_COLUMNS}
        tokens = pa.struct([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
        language = {"language": pa.string(), "probability": pa.float32()} if job.identifies else {}
        return {job.prefix + name: kind for name, kind in {**language, "tokens": pa.list_(tokens)}.items()}
    ((_, labels),) = version.manifest.labels.items()
    scores = pa.struct([(label, pa.float32()) for label in labels])
    types = {"label": pa.string(), "scores": scores} | ({SCORE: pa.float32()} if has_score(labels) else {})
    return {job.prefix + name: kind for name, kind in types.items()}


def make_parquet(partial: Path, target: Path, results: Mapping[str, pa.DataType], source: Reader) -> None:
    """Writes the Parquet file of a partial file. A `source` that is a Parquet file keeps the types of its columns."""
    file = source.file if isinstance(source, ParquetRows) else None
    kept = _columns(partial, source.layout.columns) if file is None else file.schema_arrow.remove_metadata()
    made = pa.schema([("line", pa.int64()), *results.items()])
    names = [*([] if "line" in kept.names else ["line"]), *kept.names, *results]
    groups = _groups(partial, kept) if file is None else _groups_of(file, partial)
    schema = pa.schema([kept.field(name) if name in kept.names else made.field(name) for name in names])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for lines, table in groups:
            found = pa.Table.from_pylist([{"line": line.line, **line.results} for line in lines], made)
            columns = [table[name] if name in kept.names else found[name] for name in names]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _lines(partial: Path) -> Iterator[PartialRow]:
    """Yields the rows of a partial file."""
    decoder = msgspec.json.Decoder(PartialRow)
    with partial.open("rb") as file:
        yield from map(decoder.decode, file)


def _columns(partial: Path, table: Sequence[str]) -> pa.Schema:
    """Returns the columns of what is kept: of a table, or members of objects that always have the same of a few types.

    The others are in a column as JSON.
    """
    kinds: dict[str, set[type]] = {name: {str} for name in table if name}
    for line in _lines(partial):
        for name, value in line.kept.items():
            found = kinds.setdefault(name, set())
            if value is not None:
                found.add(object if isinstance(value, int) and abs(value) >= 2**63 else type(value))
    types = {}
    for name, found in kinds.items():
        kind = float if found == {int, float} else found.pop() if len(found) == 1 else None if found else str
        if kind in TYPES:
            types[name] = TYPES[kind]
    return pa.schema(types | ({OTHER_MEMBERS: pa.string()} if len(types) < len(kinds) else {}))


def _groups(partial: Path, kept: pa.Schema) -> Iterator[tuple[list[PartialRow], pa.Table]]:
    """Yields some rows at a time, and what is kept of them."""
    lines = _lines(partial)
    while group := list(islice(lines, GROUP_ROWS)):
        yield group, pa.Table.from_pylist([_fitted(line.kept, kept) for line in group], kept)


def _groups_of(source: pq.ParquetFile, partial: Path) -> Iterator[tuple[list[PartialRow], pa.Table]]:
    """Yields some rows at a time, and what a Parquet file has of them."""
    lines, end = _lines(partial), 0
    line = next(lines, None)
    for batch in source.iter_batches(GROUP_ROWS):
        begin, end = end + 1, end + len(batch)
        group = []
        while line is not None and line.line <= end:
            group.append(line)
            line = next(lines, None)
        places = pa.array([one.line - begin for one in group], pa.int64())
        yield group, pa.Table.from_batches([batch.take(places)])


def _fitted(members: Mapping[str, Any], kept: pa.Schema) -> dict[str, Any]:
    """Returns members as columns hold them; those without a column are in OTHER_MEMBERS."""
    fitting: dict[str, Any] = {}
    others = {}
    for name, value in members.items():
        if name not in kept.names:
            others[name] = value
        else:
            fitting[name] = float(value) if kept.field(name).type == TYPES[float] and value is not None else value
    return fitting | ({OTHER_MEMBERS: to_json(others).decode()} if others else {})


def _as_values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Returns rows whose cells JSON can write: moments and decimals become strings."""
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        is_other = pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type)
        columns.append(pc.cast(column, pa.string()) if is_other else column)
    values: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return values
