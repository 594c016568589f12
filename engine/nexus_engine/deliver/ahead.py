"""Batches ahead: while the loop compares, spools and inserts a batch, the next one is mapped in a thread of its own, and in another one
the refused rows of the one before are looked at.

Neither touches table or state, so both may run early, and be thrown away. Batches come out in the order in which they went in, and
what working one of them raised is raised when its turn comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from nexus_engine.deliver.batch import explain, work
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.worked import Bench, Worked

AHEAD: Final = 3  # batches that are closed and have not landed: one lands, one is mapped, one waits


@dataclass(frozen=True)
class _Begun:
    stage: Stage
    bench: Bench
    mapped: Future[Worked]
    worked: Future[Worked]  # the same, with its refused rows

    def discard(self) -> None:
        self.bench.clean()
        self.stage.path.unlink(missing_ok=True)


class Ahead:
    """Used in the loop's thread. ``nudge`` is called from another one, each time a batch is mapped; ``side_by_side`` batches are mapped
    at once."""

    def __init__(self, nudge: Callable[[], None], side_by_side: int = 1) -> None:
        self._nudge = nudge
        self._map = ThreadPoolExecutor(side_by_side, thread_name_prefix="map")
        self._explain = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._begun: deque[_Begun] = deque()
        self._spoilt: set[int] = set()

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def ready(self) -> bool:
        """The next batch is mapped: taking it does not wait."""
        return bool(self._begun) and self._begun[0].worked.done()

    def begin(self, stage: Stage, bench: Bench) -> None:
        """Map a closed stage as soon as those before it are mapped."""
        mapped = self._map.submit(work, stage, bench)
        worked = self._explain.submit(_explained, mapped, bench)
        self._begun.append(_Begun(stage, bench, mapped, worked))
        worked.add_done_callback(lambda _: self._nudge())

    @contextmanager
    def take(self) -> Iterator[tuple[Worked, Bench]]:
        """The next batch, once it is mapped; its files are gone afterwards.

        Raises:
            What `batch.work` raises.
        """
        begun = self._begun.popleft()
        try:
            wait([begun.worked])
            if any(unit.ticket in self for unit in begun.stage.units):
                yield explain(work(self._unspoilt(begun), begun.bench), begun.bench), begun.bench
            else:
                yield begun.worked.result(), begun.bench
        finally:
            begun.discard()

    def _unspoilt(self, begun: _Begun) -> Stage:
        stage = begun.stage
        return stage.where(
            lambda staged: stage.units[staged.unit].ticket not in self, begun.bench.file(f"{stage.path.stem}.unspoilt.jsonl")
        )

    def spoil(self, handle: object) -> None:
        """A page of this ticket was refused: what was staged of it since, before that was known, is not to land."""
        self._spoilt.add(_ticket(handle))

    def __contains__(self, handle: object) -> bool:
        return _ticket(handle) in self._spoilt

    def close(self) -> None:
        """Throw away what was not taken. Waits for a mapping that runs: a query of the engine cannot be left."""
        for begun in self._begun:
            begun.mapped.cancel()
            begun.worked.cancel()
        self._map.shutdown()
        self._explain.shutdown()
        for begun in self._begun:
            begun.discard()
        self._begun.clear()


def _explained(mapped: Future[Worked], bench: Bench) -> Worked:
    return explain(mapped.result(), bench)


def _ticket(handle: object) -> int:
    """The identity of the ticket in a unit's handle (see ``StagedUnit.ticket``)."""
    return id(handle[0] if isinstance(handle, tuple) else handle)
