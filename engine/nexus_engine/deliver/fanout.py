"""Which partitions a run reads: the combinations of a feed's `each` values, as they are when the run starts.

    for each name, in order:   list | file | table's column | listing (one per combination so far)   -> more combinations

A listing that fails stops only what would be below it. Nothing is landed here and no position moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from nexus_engine.clickhouse.engine import Engine
from nexus_engine.compile.plan import EachPlan, Plan
from nexus_engine.contract.sink import Sink
from nexus_engine.contract.source import Partition
from nexus_engine.deliver.column import column_values
from nexus_engine.deliver.fetch import plugin_failed
from nexus_engine.deliver.listing import read_listing
from nexus_engine.deliver.reader import Reader
from nexus_engine.deliver.report import RunReport
from nexus_engine.errors import ConfigError, NexusError, NotYet, StopAll, StopEngine
from nexus_engine.project.values import BadValues, Row, read_values

SHOWN = 5


@dataclass
class Found:
    """The partitions, in order. ``failures``: (partition that has none below it now, error); ``whole`` False: the engine stops,
    there may be more."""

    partitions: list[Partition]
    failures: list[tuple[str, NexusError]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = True


@dataclass(frozen=True)
class Fanout:
    """Resolves the `each:` of one feed for one run.

    Args:
        sink: opens a sink by name; None where tables cannot be read (a preview).
        only: values by name; others are not asked for.
        most: enough partitions at each step (a preview); None: all.
    """

    plan: Plan
    reader: Reader
    engine: Engine
    report: RunReport
    halt: threading.Event
    folder: Path
    sink: Callable[[str], Sink] | None
    threads: int = 1
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    most: int | None = None

    def find(self) -> Found:
        """Raises:
        ConfigError: a file, table or limit that does not fit.
        StopAll: an answer that holds for every partition.
        StopEngine: the process must stop.
        """
        found = Found([Partition()])
        for name, values in self.plan.source.each.items():
            before, told = found.partitions, len(found.notes)
            found.partitions = list(self._limited(self._below(name, values, found), name))
            explained = found.failures or not found.whole or self.only or len(found.notes) > told
            if before and not found.partitions and not explained:
                found.notes.append(self._nothing(name, values))
        return found

    def _below(self, name: str, values: tuple[str, ...] | EachPlan, found: Found) -> Iterator[Partition]:
        if isinstance(values, EachPlan) and values.listing is not None:
            lists = self._listings(name, values, found)
        else:
            rows = self._chosen(name, self._rows(name, values, found))
            lists = ((outer, rows) for outer in found.partitions)
        for outer, rows in lists:
            for value, parent in rows:
                yield below(outer, name, value, parent)

    def _rows(self, name: str, values: tuple[str, ...] | EachPlan, found: Found) -> Iterable[Row]:
        """The values of a list, a file or a table's column: the same for every combination before them."""
        if not isinstance(values, EachPlan):
            return [(value, {}) for value in values]
        if values.table:
            rows, note = column_values(self.plan, name, values, self.engine, self.sink, self._most())
            found.notes += [note] if note else []
            return rows
        return file_values(self.plan, name, values, self.reader.project.root, self._most())

    def _most(self) -> int:
        return self.reader.project.limits.max_partitions

    def _chosen(self, name: str, rows: Iterable[Row]) -> list[Row]:
        wanted = self.only.get(name)
        return [row for row in rows if wanted is None or row[0] in wanted][: self.most]

    def _listings(self, name: str, each: EachPlan, found: Found) -> Iterator[tuple[Partition, list[Row]]]:
        """Each combination with what its listing names; several are asked side by side, in the same order."""
        asked: dict[tuple[str | None, ...], Partition] = {}
        for outer in found.partitions:
            asked.setdefault(_reads(outer, each), outer)

        def ask(number: int, outer: Partition) -> list[Row] | NexusError | None:
            if self.halt.is_set():
                return None
            try:
                rows = read_listing(self.plan, name, each, outer, number, self)
            except StopEngine:
                raise
            except NexusError as error:
                return None if self.halt.is_set() else error
            except Exception as error:  # noqa: BLE001  a plugin may raise anything; it stops this feed only
                return plugin_failed(error)
            return None if rows is None else self._chosen(name, rows)

        got: dict[tuple[str | None, ...], list[Row]] = {}
        with ThreadPoolExecutor(max(1, min(self.threads, len(asked))), thread_name_prefix="listing") as pool:
            try:
                for key, outer, answer in zip(asked, asked.values(), pool.map(ask, range(len(asked)), asked.values()), strict=True):
                    got[key] = self._judged(name, outer, answer, found)
            except BaseException:
                self.halt.set()  # what is under way ends soon
                raise
        for outer in found.partitions:
            yield outer, got[_reads(outer, each)]

    def _judged(self, name: str, outer: Partition, answer: list[Row] | NexusError | None, found: Found) -> list[Row]:
        """The rows; none after a failure, which is noted."""
        if answer is None:
            found.whole = False
            return []
        if isinstance(answer, list):
            return answer
        answer.what = f"the listing of each.{name} cannot be read: {answer.what}"
        if isinstance(answer, StopAll):
            raise answer
        if isinstance(answer, NotYet):
            found.notes.append(f"{outer.key or 'each.' + name}: {answer.what} ({answer.where})")
        else:
            answer.did = "nothing below it was asked; the other partitions go on"
            found.failures.append((outer.key, answer))
        return []

    def _limited(self, partitions: Iterator[Partition], name: str) -> Iterator[Partition]:
        """Each partition once, and not more than there may be."""
        seen: set[str] = set()
        for partition in partitions:
            if partition.key in seen:
                continue
            seen.add(partition.key)
            if len(seen) > self._most():
                raise too_many(self.plan, name, self._most())
            yield partition
            if self.most is not None and len(seen) >= self.most:
                return

    def _nothing(self, name: str, values: tuple[str, ...] | EachPlan) -> str:
        if isinstance(values, EachPlan) and values.table:
            return f"nothing was asked: {values.table} has no value of `{values.column}` for each.{name} yet; run the feed that lands there first"
        return f"nothing was asked: no listing for each.{name} has a record"


def below(outer: Partition, name: str, value: str, parent: Mapping[str, str | None]) -> Partition:
    """The partition of one more value under a combination. What `with` adds is in its values and not in its key."""
    part = f"{name}={quote(value, safe=' /:.,_-+@')}"
    return Partition(f"{outer.key};{part}" if outer.key else part, {**outer.values, name: value, **parent})


def file_values(plan: Plan, name: str, each: EachPlan, root: Path, max_rows: int) -> list[Row]:
    """Raises:
    ConfigError: the file does not give the values (any more).
    """
    try:
        return read_values(root, each.file, each.column, each.beside, max_rows)
    except BadValues as error:
        raise ConfigError(
            f"each.{name}: {each.file}: {error.message}", where=f"feed {plan.feed}, {plan.spec_file}", did="nothing was asked; the position is kept",
            do=error.hint or "mend the file; nexus-engine validate-config checks it",
        ) from None


def known_partitions(plan: Plan, root: Path, max_partitions: int) -> list[Partition] | None:
    """The partitions, where lists and files alone say which; None when a table or a listing has a say."""
    found = [Partition()]
    for name, values in plan.source.each.items():
        if isinstance(values, EachPlan) and not values.file:
            return None
        rows = file_values(plan, name, values, root, max_partitions) if isinstance(values, EachPlan) else [(value, {}) for value in values]
        if len(found) * len(rows) > max_partitions:
            raise too_many(plan, name, max_partitions)
        found = [below(outer, name, value, parent) for outer in found for value, parent in rows]
    return found


def too_many(plan: Plan, name: str, most: int) -> ConfigError:
    return ConfigError(
        f"each.{name} gives more than {most} partitions", where=f"feed {plan.feed}, {plan.spec_file}",
        did="nothing was asked for them; the position is kept",
        do="divide the feed, or raise limits.max_partitions in nexus.yaml; each partition costs about 2 kB of memory while it runs",
    )


def _reads(outer: Partition, each: EachPlan) -> tuple[str | None, ...]:
    return tuple(outer.values.get(name) for name in each.uses)
