"""Quarantine replay: refused records through the feed's present spec, as a job for the one loop.

Each record is a payload of its own: a body that holds it alone, under the keys of its partition and window. Those that pass leave
the quarantine in the transaction that takes over their rows; the others stay, with the reasons of today. There is no position:
what is in quarantine is what is left to do.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from nexus_engine.compile.plan import Plan
from nexus_engine.compile.raw import compose
from nexus_engine.contract.source import Payload, Window
from nexus_engine.deliver.backfill import without_rules
from nexus_engine.deliver.fetch import Job, Ticket
from nexus_engine.deliver.reader import named_partition
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.windows import Position, Unit
from nexus_engine.deliver.worked import Worked
from nexus_engine.errors import NexusError
from nexus_engine.state.records import Intent, Quarantined, Waiting

if TYPE_CHECKING:
    from nexus_engine.deliver.session import Session
    from nexus_engine.state.store import Store

SPACE = "quarantine"
# Rules about a whole answer say nothing about the few records of it that were refused.
_WHOLE_RULES = ("freshness", "row_count_between", "mean_between", "sum_between", "increasing")
_NOTHING = "record: structure: nothing of the record is where `records:` says"


@dataclass(frozen=True)
class Replay:
    """``ids``: only these records; all of the feed's when empty."""

    ids: tuple[int, ...] = ()

    def job(self, session: Session, plan: Plan, report: RunReport, halt: threading.Event) -> Job:
        """The mover (``deliver.session.Mover``).

        Raises:
            NexusError: an id is not in the feed's quarantine.
        """
        self._refuse_unknown(session.store, plan)
        groups, unfit = session.store.replayable(plan.feed, self.ids, beside=bool(plan.source.beside))
        report.warnings += [f"{_count(count)} not replayed: {why}" for why, count in unfit.items()]
        tickets: dict[str, Ticket] = {}
        windows: dict[str, list[tuple[Unit, Waiting]]] = {}
        for group in groups:
            if group.partition not in tickets:
                partition = named_partition(group.partition, session.store.parent(plan.feed, group.partition))
                tickets[group.partition] = Ticket(partition, Position(), space=SPACE)
            windows.setdefault(group.partition, []).append((Unit(Window(group.window_start, group.window_end)), group))
        source = _Records(self.ids, session.store, plan, report, halt, windows)
        # Nothing is asked, so there is no page to stop at and no cursor to move.
        judged = msgspec.structs.replace(plan, query=without_rules(plan, _WHOLE_RULES), cursor=None, max_refused=1.0)
        return Job(
            plan=judged, tickets=list(tickets.values()), due=lambda ticket: (unit for unit, _ in windows[ticket.partition.key]),
            read=source.read, keep=lambda _: None, windows=len(groups), settle=settle,
        )

    def _refuse_unknown(self, store: Store, plan: Plan) -> None:
        for number in self.ids:
            found = store.quarantined_one(number)
            if found is None or found.feed != plan.feed:
                raise NexusError(
                    f"record {number} is not in the quarantine of {plan.feed}", where=f"feed {plan.feed}", did="nothing was replayed",
                    do=f"see nexus-engine quarantine list {plan.feed}",
                )


@dataclass(frozen=True)
class _Records:
    """The source: records in quarantine, window by window."""

    ids: tuple[int, ...]
    store: Store
    plan: Plan
    report: RunReport
    halt: threading.Event
    windows: dict[str, list[tuple[Unit, Waiting]]]
    lost: Counter[str] = field(default_factory=Counter)  # why -> records that were not replayed

    def read(self, ticket: Ticket, unit: Unit, resume: object) -> Iterator[Payload]:
        group = next(group for known, group in self.windows[ticket.partition.key] if known is unit)
        payload: Payload | None = None
        for record in self._waiting(group):
            if payload is not None:
                yield payload
            if self.halt.is_set():
                return
            payload = self._payload(record)
        if payload is not None:
            yield replace(payload, last=True)

    def _waiting(self, group: Waiting) -> Iterator[Quarantined]:
        after = 0
        while some := self.store.waiting(self.plan.feed, group, after, self.ids, beside=bool(self.plan.source.beside)):
            yield from some
            after = some[-1].id

    def _payload(self, record: Quarantined) -> Payload | None:
        """A body around the record; None when it was kept without something that the spec reads today."""
        source = self.plan.source
        try:
            body = compose(record.raw.encode(), record.envelope.encode(), source.records, source.flat, source.want.leaves)
        except LookupError as error:
            self._left(f"kept without {str(error.args[0])!r}, which the spec did not name then; ask the source again")
            return None
        except ValueError:
            self._left("kept in another shape than `records:` says now; ask the source again")
            return None
        return Payload(body, {"id": record.id}, page=record.page, url=record.url)

    def _left(self, why: str) -> None:
        self.lost[why] += 1
        self.report.warnings[:] = [text for text in self.report.warnings if not text.endswith(why)]
        self.report.warnings.append(f"{_count(self.lost[why])} not replayed: {why}")


def settle(intent: Intent, worked: Worked) -> Intent:
    """Who leaves and who stays: a record that was not read at all stays too."""
    ids: dict[int, int] = {staged.p: _id(staged.payload) for staged in worked.stage.payloads if _id(staged.payload)}
    again: dict[int, tuple[str, ...]] = {}
    for refusal, kept in zip(worked.refusals, intent.quarantined, strict=True):
        again[ids[refusal.p]] = (*again.get(ids[refusal.p], ()), *kept.reasons)
    for p, number in ids.items():
        if number not in again and (p not in worked.stats or not worked.stats[p].read):
            again[number] = (_NOTHING,)
    released = tuple(number for number in ids.values() if number not in again)
    return msgspec.structs.replace(intent, quarantined=(), released=released, refused_again=again)


def _id(payload: Payload) -> int:
    position: Any = payload.position
    return int(position.get("id", 0)) if position else 0


def _count(number: int) -> str:
    return f"{number} record{'s' if number != 1 else ''}"
