"""Reparse: the answers of the raw archive through the feed's present spec, as a job for the one loop. Nothing is asked of the source.

    reparse 3f5a90c1|series=DGS10      the name of its position: what is parsed again by which spec, then partition

What was answered in one window of one run is read as one window: the source asks, and is given the answers in their order, whatever
it asks for; when there is no further one, the window ends. The oldest come first. A row that the table has from a later answer
stays, so the newest answer of each key wins, also over answers that are not kept. Each window begins anew after an interruption;
what it repeats is unchanged.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nexus_engine.compile.plan import ArchivePlan, CursorPlan, Plan
from nexus_engine.contract.options import Duration
from nexus_engine.contract.source import Partition, Payload, Window
from nexus_engine.deliver.answers import KeptAnswers, NoMore
from nexus_engine.deliver.backfill import without_rules
from nexus_engine.deliver.fetch import Job, ReadUnit, Ticket
from nexus_engine.deliver.keeping import Exchanges
from nexus_engine.deliver.reader import named_partition
from nexus_engine.deliver.report import RunReport, error_report
from nexus_engine.deliver.stage import Stage
from nexus_engine.deliver.windows import Position, Unit, moment
from nexus_engine.deliver.worked import Worked
from nexus_engine.errors import ConfigError, Incomplete, NexusError, NotYet
from nexus_engine.state.positions import spaced, unspaced
from nexus_engine.state.records import Body, Intent, Place, Reading

if TYPE_CHECKING:
    from nexus_engine.contract.host import SourceHttp
    from nexus_engine.deliver.session import Session

_AGE_RULES = ("freshness",)
# Its position is the number of the last answer that is done: windows of the feed may lie in any order.
_BY_NUMBER = CursorPlan(field="", kind="number")


@dataclass(frozen=True)
class Reparse:
    """``since``: a date, a time, or how long ago, as written; all that is kept when empty."""

    since: str = ""

    def readings(self, session: Session, plan: Plan) -> dict[str, list[Reading]]:
        """What is to be parsed, by partition, the oldest first.

        Raises:
            ConfigError: the target has no key, `since` is no time, or nothing is kept.
        """
        _refuse_keyless(plan)
        found: dict[str, list[Reading]] = {}
        for reading in session.store.readings(plan.feed, since_text(plan, self.since, session.reader.now())):
            found.setdefault(reading.partition, []).append(reading)
        _refuse_nothing(plan, found, self.since)
        return found

    def job(self, session: Session, plan: Plan, report: RunReport, halt: threading.Event) -> Job:
        """The mover (``deliver.session.Mover``).

        Raises:
            ConfigError: as :meth:`readings`.
        """
        readings = self.readings(session, plan)
        store, space = session.store, f"reparse {self._fingerprint(plan)}"
        stored = store.positions(plan.feed)
        for name in stored:  # another spec's: what it had parsed is to be parsed again
            if unspaced(name)[0].startswith("reparse ") and unspaced(name)[0] != space:
                store.reset(plan.feed, name)
        tickets = [_ticket(named_partition(key, store.parent(plan.feed, key)), space, stored) for key in readings]
        left = {ticket.key: _left(ticket, readings[ticket.partition.key]) for ticket in tickets}
        source = _Answers(session, plan, report, halt, {str(reading.last): reading for some in left.values() for reading in some})
        ends = {str(some[-1].last) for some in readings.values()}
        judged = msgspec.structs.replace(
            plan, query=msgspec.structs.replace(without_rules(plan, _AGE_RULES), cursor=""), cursor=_BY_NUMBER,
            archive=plan.archive or ArchivePlan(keep_s=0, max_bytes=0),
        )
        return Job(
            plan=judged, tickets=tickets, due=lambda ticket: (_unit(reading) for reading in left[ticket.key]), read=source.read,
            keep=lambda position: None if position.window is None and position.cursor in ends else position.data(),
            windows=sum(map(len, left.values())), settle=source.settle, ages=source.ages,
        )

    def _fingerprint(self, plan: Plan) -> str:
        """What is to be done, by which spec: with another one it starts anew."""
        told = msgspec.json.encode([self.since, plan.source, plan.query, plan.target], order="deterministic")
        return hashlib.sha256(told).hexdigest()[:12]


def since_text(plan: Plan, since: str, now: datetime) -> str:
    """ISO 8601 UTC text of a date, a time, or how long ago.

    Raises:
        ConfigError: it is none.
    """
    if not since:
        return ""
    try:
        found = now - timedelta(seconds=float(Duration(since))) if re.fullmatch(r"[\d.]+[a-z]+", since.strip()) else moment(since)
        return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    except (ValueError, OverflowError):
        raise _wrong(plan, f"--since {since!r} is no time", "write a date like 2024-01-31, a time like 2024-01-31T09:30:00Z, or how long ago: 7d") from None


def _refuse_keyless(plan: Plan) -> None:
    if not plan.target.key:
        raise _wrong(
            plan, f"{plan.target.name} has no `key`, so rows that it has would land twice",
            "give the target a `key`; or empty the table's range and ask the source again: nexus-engine run FEED --from A --to B",
        )


def _refuse_nothing(plan: Plan, readings: Mapping[str, Any], since: str) -> None:
    if not readings:
        when = f" since {since}" if since else ""
        hint = "see what there is: nexus-engine archive" if plan.archive else "keep answers from now on: `archive: true` in the feed"
        raise _wrong(plan, f"no answer of it is kept{when}", hint)


def _wrong(plan: Plan, what: str, do: str) -> ConfigError:
    return ConfigError(f"{plan.feed} cannot be parsed again: {what}", where=f"feed {plan.feed}, {plan.spec_file}", did="nothing was read or landed", do=do)


def _ticket(partition: Partition, space: str, stored: Mapping[str, Any]) -> Ticket:
    """An open window begins anew: of a position only the last answer that is done counts."""
    data = stored.get(spaced(space, partition.key))
    return Ticket(partition, Position(cursor=data.get("cursor")) if data else Position(), data, space=space)


def _left(ticket: Ticket, readings: list[Reading]) -> list[Reading]:
    done = int(ticket.safe.cursor or 0)
    return [reading for reading in readings if reading.last > done]


def _unit(reading: Reading) -> Unit:
    """``seen`` names the reading, and is where the position goes when it is done."""
    return Unit(Window(reading.window_start, reading.window_end), seen=str(reading.last))


@dataclass
class _Answers:
    """The source: kept answers, reading by reading."""

    session: Session
    plan: Plan
    report: RunReport
    halt: threading.Event
    readings: Mapping[str, Reading]  # by their last answer
    opened: ReadUnit = field(init=False)
    waiting: dict[str, deque[Body]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What is rendered into requests is not sent: a secret that is not set today does not matter.
        reader = replace(self.session.reader, project=self.session.project.for_replay())
        self.opened = reader.units(self.plan, self.report, self.halt, self._wrap)

    def _wrap(self, http: SourceHttp, unit: Unit, _: object) -> Exchanges:
        return KeptAnswers(http, self.session.reader, self.waiting[str(unit.seen)], self._lost)

    def read(self, ticket: Ticket, unit: Unit, _: object) -> Iterator[Payload]:
        """The payloads of a reading; each is held back until it is known whether it is the last."""
        name = str(unit.seen)
        waiting = self.waiting[name] = deque(self.session.store.answers(self.readings[name]))
        held: Payload | None = None
        while waiting and not self.halt.is_set():
            before = len(waiting)
            for payload in self._once(ticket, unit):
                if held is not None:
                    yield replace(held, last=False)
                held = payload
            if len(waiting) == before:  # it asks for nothing
                break
        del self.waiting[name]
        if held is not None and not self.halt.is_set():
            yield replace(held, last=True)

    def _once(self, ticket: Ticket, unit: Unit) -> Iterator[Payload]:
        """The window, read once. By today's spec it may end before its answers do: what is left is read as another beginning."""
        ticket.memo = None  # each answer is parsed, also one that is as the one before
        try:
            for payload in self.opened(ticket, unit, None):
                yield replace(payload, total=None, memo=None, cursor=None, again=False)  # a part of the window's answers may be gone
        except NoMore:
            pass
        except (NotYet, Incomplete) as error:  # one answer's affair, not the partition's
            self.report.warnings.append(f"{error.what} ({error.where})")

    def ages(self, stage: Stage) -> Iterable[Mapping[str, object]]:
        """Which batch the answers of a stage first came in, and the same for the batches of the table that were parsed again."""
        for staged in stage.payloads:
            if staged.payload.kept:
                yield {"p": staged.p, "origin": min(cast("Body", body).origin for body in staged.payload.kept)}
        for batch, origin in self.session.store.weights(self.plan.target.name).items():
            yield {"batch": batch, "origin": origin}

    def settle(self, intent: Intent, worked: Worked) -> Intent:
        """What an answer has in quarantine makes room for what it gives today."""
        pages: dict[str, set[Place]] = {}
        for staged in worked.stage.payloads:
            unit = worked.stage.units[staged.unit]
            for body in staged.payload.kept:
                place = (unit.partition.key, unit.window.start, unit.window.end, staged.payload.page)
                pages.setdefault(cast("Body", body).origin, set()).add(place)
        return msgspec.structs.replace(intent, released=tuple(self.session.store.refused_of(self.plan.feed, pages)))

    def _lost(self, error: NexusError) -> None:
        self.report.errors.append(error_report(error, self.session.reader.redactor.redact))
