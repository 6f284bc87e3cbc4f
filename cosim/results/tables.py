"""The tables of a run: one schema each, and the recorder that writes them as Parquet.

Every column's unit is in its name, and a schema is the same for every run, so that many runs can
be read as one table (`runs/*/rounds.parquet`). Whole numbers are int64, times and amounts are
float64, and no value is null: a number that does not exist (the loss of a run without learning)
is NaN, a device that does not exist is -1.

Rows of `rounds` hold what happened in that round, not running totals (`num_plans` excepted), so
that sums over rows are totals of the run.
"""

from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cosim.wording import did_you_mean

_INT, _FLOAT, _BOOL, _TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()
_KINDS = {_INT: "iu", _FLOAT: "fiu", _BOOL: "b"}  # of NumPy arrays that fit, by dtype.kind


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


SCHEMAS: Mapping[str, pa.Schema] = {
    # One row per round, or per evaluation instant of an asynchronous protocol; t_s is its end. Sums
    # are of what has happened since the end of the one before; of transfers, of those of learning
    # that have ended. What a run's end takes off the air after its last round is in `flows` alone.
    "rounds": _schema(
        round=_INT,  # from 1
        start_s=_FLOAT,
        t_s=_FLOAT,
        num_devices=_INT,  # devices that take part
        num_plans=_INT,  # plans made so far
        num_clusters=_INT,
        loss_mean=_FLOAT,
        bits_sent=_FLOAT,  # on the air: headers and repetitions counted
        bits_delivered=_FLOAT,  # of payloads, at their receivers
        energy_j=_FLOAT,
        collision_rate=_FLOAT,  # mean over clusters of two devices and more; 0 without any
        num_late=_INT,  # updates that missed the deadline
        num_lost_packets=_INT,  # were sent, at least in part, and did not arrive
        num_trainings=_INT,  # local trainings that ended
        num_merged=_INT,  # updates that were aggregated, at every device that did
        staleness_mean=_FLOAT,  # of those; NaN without any
    ),
    # Updates that were aggregated.
    "merges": _schema(
        round=_INT,
        t_s=_FLOAT,
        device=_INT,  # which aggregated
        src=_INT,
        sent_round=_INT,  # that the update belongs to; of gossip, the sender's training
        staleness=_INT,  # by how many rounds, versions or trainings (gossip) it is older
        weight=_FLOAT,  # in the aggregation
    ),
    "evaluations": _schema(
        round=_INT,  # rounds that are over; 0 before the first
        t_s=_FLOAT,
        device=_INT,
        task=_TEXT,
        own=_BOOL,  # whether the device trains on this task
        accuracy=_FLOAT,
        loss=_FLOAT,
    ),
    "plans": _schema(
        plan=_INT,
        t_s=_FLOAT,
        trigger=_TEXT,
        device=_INT,
        cluster=_INT,  # -1 for a device that takes no part
        is_gateway=_BOOL,
        density=_FLOAT,
    ),
    # Links inside clusters and gateway links between them.
    "links": _schema(
        plan=_INT,
        src=_INT,
        dst=_INT,
        power_w=_FLOAT,
        mean_gain_db=_FLOAT,
        predicted_delay_s=_FLOAT,
    ),
    "flows": _schema(
        flow=_INT,
        round=_INT,
        kind=_TEXT,  # update, broadcast (of a server), exchange (between clusters) or background
        src=_INT,
        dst=_INT,
        start_s=_FLOAT,
        end_s=_FLOAT,
        payload_bits=_FLOAT,
        num_packets=_INT,
        num_attempts=_INT,
        num_lost=_INT,  # packets that were sent, at least in part, and did not arrive
        num_unsent=_INT,  # packets that were never begun
        outcome=_TEXT,  # delivered, partial, expired, aborted or dropped
        energy_j=_FLOAT,  # transmit power times time on the air
        air_bits=_FLOAT,  # headers and repetitions counted
        delivered_bits=_FLOAT,  # of the payload, at the receiver
    ),
    # start_s is the start of the packet's first attempt, end_s the end of its last.
    "packets": _schema(
        flow=_INT,
        packet=_INT,
        start_s=_FLOAT,
        end_s=_FLOAT,
        num_attempts=_INT,
        delivered=_BOOL,
    ),
    # One row per device, at the end of the run: what it has used since the start, and for what.
    "energy": _schema(
        t_s=_FLOAT,
        device=_INT,
        transmit_j=_FLOAT,
        receive_j=_FLOAT,
        compute_j=_FLOAT,
        idle_j=_FLOAT,
        left_j=_FLOAT,  # in its battery; infinite without one
    ),
    "trainings": _schema(
        device=_INT,
        round=_INT,
        start_s=_FLOAT,
        end_s=_FLOAT,
        num_tokens=_INT,
        flops=_FLOAT,
        loss=_FLOAT,
        density=_FLOAT,
        energy_j=_FLOAT,
    ),
    # One row per evaluation instant and device, if `record.measures` is on. What a device's adapter
    # is to others is within its cluster; `cosim.learning.measuring` says how each is measured. What
    # does not exist is NaN: a pair of one device alone, a merge before the first, an adapter
    # without a model.
    "measures": _schema(
        round=_INT,  # rounds that are over; 0 before the first
        t_s=_FLOAT,
        device=_INT,
        cluster=_INT,  # in the plan in force; -1 without one
        num_devices=_INT,  # in the cluster, itself counted
        collision_predicted=_FLOAT,  # P1 (16), of the plan's densities
        collision_rate=_FLOAT,  # coordinates that more than one device of its cluster trains
        product_collision=_FLOAT,  # entries of B A that are large at more than one of them
        orthogonality=_FLOAT,  # ||A_i^T A_j|| / ||A_i^T A_i||, mean over the others
        num_merged=_INT,  # devices whose training its last merge brought together; 0 if unknown
        aggregation_gap=_FLOAT,  # of its last merge: relative to the weighted sum of the products
        covariance_term=_FLOAT,  # of its last merge: what averaging A and B apart would change
        kept_cosine=_FLOAT,  # of its product now and at the evaluation before
        kept_fraction=_FLOAT,  # of the product at the evaluation before, along its direction
        forgetting=_FLOAT,  # accuracy below its best so far, mean over tasks
        flops=_FLOAT,  # of the trainings that ended since the evaluation before
        bits_sent=_FLOAT,  # on the air since then, of transfers that ended
    ),
    # With `record.measures`, one row per evaluation instant, device and adapted layer: what part of
    # its A and B the next training may move, and the last update held (NaN before the first).
    "layers": _schema(
        round=_INT,
        t_s=_FLOAT,
        device=_INT,
        layer=_TEXT,
        trained_a=_FLOAT,
        trained_b=_FLOAT,
        sent_a=_FLOAT,
        sent_b=_FLOAT,
    ),
    # One row per round and device that a controller has decided on; none if all is left as it is.
    "controls": _schema(
        round=_INT,
        t_s=_FLOAT,
        device=_INT,
        density=_FLOAT,  # of its updates from its next training on
        weight=_FLOAT,  # share of the band that its links are to have together
        queue_s=_FLOAT,  # the controller's virtual queue
        delay_s=_FLOAT,  # predicted, of its slowest link; NaN without links
        measured_s=_FLOAT,  # the longest update that ended since the round before; NaN without any
    ),
    "positions": _schema(t_s=_FLOAT, device=_INT, x_m=_FLOAT, y_m=_FLOAT),
    "events": _schema(t_s=_FLOAT, kind=_TEXT, device=_INT, detail=_TEXT),
}


# Single rows that become columns at once, which take a tenth of their memory.
_SEALED_ROWS = 1 << 13


class TableError(ValueError):
    """A row that does not fit its table's schema."""


class Recorder:
    """Collects the rows of a run and writes one Parquet file per table into a folder.

    Rows wait in memory until a table has `group_rows` of them, and then go to disk as one row
    group, so memory stays bounded however long the run is. A table grows under the name
    `NAME.parquet.part` and gets its own name, whole, when the recorder closes: a process that is
    killed leaves no file that looks like a table and is none. Every table is written, empty ones
    too.

        with Recorder(folder) as recorder:
            recorder.add("events", t_s=0.0, kind="plan", device=-1, detail="start")
            recorder.extend("positions", t_s=t_s, device=devices, x_m=x_m, y_m=y_m)

    Leaving the block closes the recorder after an error as well: what was recorded until then is
    whole and readable, and the manifest says how the run ended.
    """

    def __init__(self, folder: Path, group_rows: int = 1 << 17) -> None:
        if group_rows < 1:
            raise ValueError(f"expected group_rows >= 1, got {group_rows}")
        self._tables = {
            name: _Table(name, schema, folder / f"{name}.parquet", group_rows)
            for name, schema in SCHEMAS.items()
        }

    def add(self, table: str, **values: Any) -> None:
        """Add one row.

        Raises:
            TableError: the table or a column does not exist, or a column is missing. A value of
                the wrong type is found when its rows go to disk.
        """
        self._table(table).add(values)

    def extend(self, table: str, **columns: Any) -> None:
        """Add many rows: each column is an array of one common length, or a value for all rows.

        Raises:
            TableError: as `add`, or the arrays differ in length or have the wrong type.
        """
        self._table(table).extend(columns)

    def close(self) -> None:
        """Write what is left and give every table its name; a second call does nothing."""
        for table in self._tables.values():
            table.flush()
        for table in self._tables.values():
            table.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _table(self, name: str) -> "_Table":
        table = self._tables.get(name)
        if table is None:
            raise TableError(f"expected one of {', '.join(SCHEMAS)}, got the table {name!r}")
        return table


class _Table:
    """One table on its way to disk: single rows, then columns, then row groups."""

    def __init__(self, name: str, schema: pa.Schema, path: Path, group_rows: int) -> None:
        self._name = name
        self._schema = schema
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._group_rows = group_rows
        self._names = frozenset(schema.names)
        self._in_order = itemgetter(*schema.names)
        self._rows: list[tuple[Any, ...]] = []  # values in the order of the schema
        self._pieces: list[dict[str, NDArray[Any]]] = []
        self._piece_rows: list[int] = []  # length of each piece
        self._batches: list[list[pa.Array]] = []
        self._num_rows = 0  # waiting, in all three forms
        self._writer: pq.ParquetWriter | None = None
        self._finished = False

    def add(self, values: dict[str, Any]) -> None:
        if values.keys() != self._names:
            raise self._wrong_columns(values)
        if self._pieces:
            self._join()
        self._rows.append(self._in_order(values))
        self._num_rows += 1
        if self._num_rows >= self._group_rows:
            self.flush()
        elif len(self._rows) >= _SEALED_ROWS:
            self._seal()

    def extend(self, columns: dict[str, Any]) -> None:
        if columns.keys() != self._names:
            raise self._wrong_columns(columns)
        # Copied: the caller may go on writing into its arrays.
        piece = {name: np.array(value) for name, value in columns.items()}
        lengths = {array.size for array in piece.values() if array.ndim == 1}
        if len(lengths) != 1 or any(array.ndim > 1 for array in piece.values()):
            shapes = ", ".join(f"{name}{list(array.shape)}" for name, array in piece.items())
            raise TableError(
                f"{self._name}: expected arrays [K] of one length, or one value, got {shapes}"
            )
        length = lengths.pop()
        if length == 0:  # an empty list has no type that could be right or wrong
            return
        self._seal()
        self._pieces.append(piece)
        self._piece_rows.append(length)
        self._num_rows += length
        if self._num_rows >= self._group_rows:
            self.flush()

    def flush(self) -> None:
        """Write all waiting rows as one row group."""
        self._seal()
        self._join()
        if not self._batches:
            return
        columns = [pa.chunked_array(chunks) for chunks in zip(*self._batches, strict=True)]
        self._batches, self._num_rows = [], 0
        self._open().write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Close the file and give it its name."""
        if self._finished:
            return
        self._open().close()
        self._part.replace(self._path)
        self._finished = True

    def _seal(self) -> None:
        """Turn single rows into columns, so that order is kept when rows and arrays alternate."""
        if not self._rows:
            return
        self._join()
        rows, self._rows = self._rows, []
        columns = zip(self._schema, zip(*rows, strict=True), strict=True)
        self._batches.append([self._column(field, values) for field, values in columns])

    def _join(self) -> None:
        """Turn all waiting pieces into one column each: one Arrow call for many small arrays."""
        if not self._pieces:
            return
        pieces, lengths = self._pieces, self._piece_rows
        self._pieces, self._piece_rows = [], []
        joined = {}
        for name in self._schema.names:
            arrays = [piece[name] for piece in pieces]
            if all(array.ndim == 0 for array in arrays):
                joined[name] = np.repeat(np.stack(arrays), lengths)
            else:
                shaped = zip(arrays, lengths, strict=True)
                joined[name] = np.concatenate([a if a.ndim else np.full(k, a) for a, k in shaped])
        self._batches.append([self._column(field, joined[field.name]) for field in self._schema])

    def _column(self, field: pa.Field, values: Any) -> pa.Array:
        if field.type != _TEXT:
            values = np.asarray(values)  # Arrow would cut the fraction off a float in a list
            if values.dtype.kind not in _KINDS[field.type] and None not in values:
                raise TableError(
                    f"{self._name}.{field.name}: expected {field.type}, got {values.dtype}"
                )
        try:
            column = pa.array(values, type=field.type, from_pandas=False)
        except (pa.ArrowException, TypeError) as error:
            raise TableError(
                f"{self._name}.{field.name}: expected {field.type}, got another type: {error}"
            ) from None
        if column.null_count:
            raise TableError(
                f"{self._name}.{field.name}: expected no empty value, got None; "
                "use NaN for a number that does not exist, -1 for no device"
            )
        return column

    def _open(self) -> pq.ParquetWriter:
        if self._finished:
            raise TableError(f"{self._name}: the recorder is closed")
        if self._writer is None:
            texts = [field.name for field in self._schema if field.type == _TEXT]
            # Packet times hardly compress: snappy writes 2.5 times the rows per second of zstd, for
            # files 1.3 times as large. A dictionary is worth its search for repeated texts only.
            self._writer = pq.ParquetWriter(
                self._part, self._schema, compression="snappy", use_dictionary=texts
            )
        return self._writer

    def _wrong_columns(self, given: dict[str, Any]) -> TableError:
        names = self._schema.names
        unknown = [name for name in given if name not in names]
        problems = [f"no column {name!r}{did_you_mean(name, names)}" for name in unknown]
        missing = [name for name in names if name not in given]
        if missing:
            problems.append(f"missing {', '.join(missing)}")
        return TableError(f"{self._name}: {'; '.join(problems)}")
