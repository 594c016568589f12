"""From a spooled batch to rows in the table, exactly once.

    intend:   positions move and the batch is ours, in one transaction
    deliver:  insert -> done -> drop
              `- anything but a clean success: settle -> landed -> insert what is missing -> done -> drop

An insert that failed may have happened: a server goes on after its client is gone, and a returned error may follow the write.
So after any answer but success nothing is sent again blindly: first the fence (``Sink.settle``), then the table is asked which
rows of the batch it has. Presence is asked for only after uncertainty: after a success, TTL and users may delete rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from nexus_engine.contract.sink import Batch, Rejects, Sides, Sink
from nexus_engine.deliver import crash, spool
from nexus_engine.deliver.identity import row_identity
from nexus_engine.errors import NexusError, OutOfSpace, RetryLater, StopEngine, StopFeed
from nexus_engine.events import BatchLanded, Observers
from nexus_engine.state.records import Intent, Quarantined
from nexus_engine.state.store import Store

TRIES = 4
_PAUSES_S = (0.1, 1.0, 5.0)  # before the second and later tries


def intend(store: Store, intent: Intent) -> None:
    """Step 2: from here the batch is ours for ever.

    The spool file must not be removed after an error from here, unless it is a PositionConflict: the transaction may have
    been stored although its commit failed. The next start removes the file if it belongs to nobody.
    """
    crash.point("intent.before")
    store.stage(intent)
    crash.point("intent.after")


def deliver(
    batch: Batch,
    sink: Sink,
    store: Store,
    observers: Observers,
    *,
    recovered: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Steps 3 to 5: the rows land, the batch is done, its file goes. Never twice at once for one table.

    With ``recovered`` an earlier attempt may have landed rows: begin with the fence and the read-back. ``pause`` waits that
    many seconds between tries.

    Raises:
        StopFeed: the batch could not be delivered, or the table holds rows of it that it should not. It stays staged, and is
            delivered by the next run or start.
        OutOfSpace: the sink's disk is full; the batch stays staged.
    """
    started = time.monotonic()
    if recovered:
        rejects = _finish(batch, sink, None, pause)
    else:
        crash.point("insert.before")
        try:
            rejects = sink.write(batch)
        except Exception as error:  # noqa: BLE001  whatever it is, the outcome is unknown
            rejects = _finish(batch, sink, error, pause)
        crash.point("insert.after")
    refused = _refused(batch, rejects) if rejects and rejects.rows else ()
    crash.point("done.before")
    store.done(batch.id, refused)
    crash.point("done.after")
    _drop(batch, sink)
    if recovered:
        elapsed_ms = (time.monotonic() - started) * 1000
        observers.emit(BatchLanded(batch.feed, batch.run_id, batch.id, batch.rows - len(refused), elapsed_ms, recovered=True))


def _finish(batch: Batch, sink: Sink, error: Exception | None, pause: Callable[[float], None]) -> Rejects | None:
    """Bounded rounds of fence, read-back and insert of what is missing, until nothing is."""
    for turn in range(TRIES):
        if turn:
            pause(_PAUSES_S[turn - 1])
        try:
            return _finish_once(batch, sink)
        except (StopFeed, StopEngine):
            raise
        except Exception as again:  # noqa: BLE001  as above
            error = again
    raise _undelivered(batch, error)


def _finish_once(batch: Batch, sink: Sink) -> Rejects | None:
    crash.point("uncertain.before")
    sink.settle(batch)
    crash.point("uncertain.settled")
    if not sink.readable:  # its promise says what a repeat means there
        _check_rows(batch, sink)
        return sink.write(batch)
    present = sink.landed(batch)
    crash.point("uncertain.read")
    if len(set(present)) != len(present) or len(present) > batch.rows:
        raise _ambiguous(batch, f"it holds {len(present)} rows of the batch, {len(set(present))} of them different")
    if len(present) == batch.rows:
        return None  # all there: the file is not needed, not even for the count
    _check_rows(batch, sink)
    rows = _missing(batch, sink, present)
    crash.point("missing.before")
    # From a side table by rows, always: the target may have changed, so that it takes in no parts.
    rejects = sink.write(batch, rows if present or batch.side else None)
    crash.point("missing.after")
    return rejects


def _missing(batch: Batch, sink: Sink, present: Collection[int]) -> list[int]:
    expected = _aside(batch, sink).side_rows(batch) if batch.side else batch.table().column("_nexus_row").to_pylist()
    foreign = set(present).difference(expected)
    if foreign:
        raise _ambiguous(batch, f"it holds rows that the batch does not have ({min(foreign)} and {len(foreign) - 1} more)")
    return sorted(set(expected).difference(present))


def _drop(batch: Batch, sink: Sink) -> None:
    """Remove what held the rows of a batch that is done. What stays is removed later."""
    crash.point("drop.before")
    if batch.side:
        with suppress(RetryLater, StopFeed):
            _aside(batch, sink).drop_side(batch.target, batch.id)
    else:
        Path(batch.path).unlink(missing_ok=True)
    crash.point("drop.after")


def _aside(batch: Batch, sink: Sink) -> Sides:
    if isinstance(sink, Sides):
        return sink
    raise StopFeed(
        f"the rows of batch {batch.id} are in a side table of the sink {batch.target.sink}, which is one without side tables now",
        where=batch.feed, did="nothing was written; the batch stays staged", do=f"set the plugin of sinks.d/{batch.target.sink}.yaml back, then run again",
    )


def _check_rows(batch: Batch, sink: Sink) -> None:
    if batch.side:
        _check_table(batch, _aside(batch, sink))
    else:
        _check_file(batch)


def _check_table(batch: Batch, sink: Sides) -> None:
    held = len(sink.side_rows(batch))
    if held != batch.rows:
        raise StopFeed(
            f"the side table of batch {batch.id} holds {held} rows, and its {batch.rows} rows are not all in {batch.target.name}",
            where=batch.feed,
            did="nothing was written; the batch stays staged",
            do=f"move the position of {batch.feed} back (nexus-engine state) and read the rows again",
        )


def _check_file(batch: Batch) -> None:
    path = Path(batch.path)
    if not spool.intact(path, batch.sha256):
        what = "is damaged" if path.exists() else "is missing"
        raise StopFeed(
            f"the spool file of batch {batch.id} {what}, and its {batch.rows} rows are not all in {batch.target.name}",
            where=f"{batch.feed}: {path}",
            did="nothing was written; the batch stays staged",
            do=f"restore the file, or move the position of {batch.feed} back (nexus-engine state) and read the rows again",
        )


def _ambiguous(batch: Batch, found: str) -> StopFeed:
    return StopFeed(
        f"{batch.target.name} disagrees with batch {batch.id}: {found}; it should hold {batch.rows}",
        where=batch.feed,
        did="nothing was written or removed, because either could be wrong; the batch stays staged",
        do=f"look at the rows with _nexus_batch = '{batch.id}' and remove what is not from this engine, then run again",
    )


def _undelivered(batch: Batch, error: Exception | None) -> NexusError:
    did = f"tried {TRIES} times, reading back between tries; the batch stays staged{'' if batch.side else f' in {batch.path}'}"
    if isinstance(error, OSError) and error.errno in spool.FULL:
        return OutOfSpace(
            f"no space is left for {batch.target.name}", where=batch.feed, did=did, do="free some space, then run again"
        )
    what = error.what if isinstance(error, NexusError) else f"{type(error).__name__}: {error}"
    return StopFeed(
        f"batch {batch.id} could not be delivered to {batch.target.name}: {what}",
        where=batch.feed,
        did=did,
        do="mend the destination; the next run delivers this batch first",
    )


def _refused(batch: Batch, rejects: Rejects) -> Sequence[Quarantined]:
    """The rows a sink refused for good, as JSON texts of what was to be landed: their raw records are behind us."""
    table = batch.table()
    numbers: list[int] = table.column("_nexus_row").to_pylist()
    place = {number: index for index, number in enumerate(numbers)}
    partition = next(iter(batch.advances)) if len(batch.advances) == 1 else ""
    found = []
    for row, reason in sorted(rejects.rows.items()):
        values = table.slice(place[row], 1).to_pylist()[0]
        raw = msgspec.json.encode(values, enc_hook=str).decode()
        found.append(
            Quarantined(partition=partition, record=row, raw=raw, reasons=(f"sink: {reason}",), identity=row_identity(batch.target, values))
        )
    return found
