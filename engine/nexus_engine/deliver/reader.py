"""Opens a plan's source on one window: options rendered and typed, HTTP under the feed's policy, the format at hand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import unquote

import msgspec

from nexus_engine.compile.fanout import beside
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.format import Format
from nexus_engine.contract.host import RunInfo, SourceHttp
from nexus_engine.contract.options import misfit, misfit_place
from nexus_engine.contract.policy import Policy
from nexus_engine.contract.registry import Registry
from nexus_engine.contract.source import Partition, Payload, ReadRequest
from nexus_engine.deliver.address import addressed
from nexus_engine.deliver.archive import SHORTEST_IN_DATA, Archive
from nexus_engine.deliver.fetch import Ticket
from nexus_engine.deliver.keeping import Exchanges, KeptHttp, Wrap
from nexus_engine.deliver.report import RunReport
from nexus_engine.deliver.windows import Unit, asked, cursor_text
from nexus_engine.errors import ConfigError, StopFeed
from nexus_engine.events import Observers, RuleWarned
from nexus_engine.host.body import Limits
from nexus_engine.host.feed_host import FeedHost
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.host.tokens import TokenFile
from nexus_engine.host.unpack import Unpacking
from nexus_engine.project.project import Project
from nexus_engine.spec.convert import convert
from nexus_engine.spec.templates import Scope, TemplateError, render_options


@dataclass(frozen=True)
class Reader:
    """What reading needs, beside the plan. ``now`` is the clock of the session, frozen in a replay."""

    project: Project
    registry: Registry
    http: HttpHost
    redactor: Redactor
    now: Callable[[], datetime]
    archive: Archive

    @classmethod
    def open(cls, project: Project, registry: Registry, observers: Observers, **options: Any) -> Reader:
        """With ``recorder`` (a folder) exchanges are kept; with ``replay`` (a server) it answers for every API, at its own time."""
        replay, recorder, now = options.get("replay"), options.get("recorder"), options.get("now")
        redactor = Redactor()
        for secret in project.secrets.known():
            redactor.add(secret.reveal(), secret.name)
        http = HttpHost(
            redactor, observers=observers, stamps=options.get("stamps"), base_urls=project.base_urls,
            replay=replay.base_url if replay else "", record=recorder, defaults=project.defaults, limits=limits_of(project), folder=project.data_dir / "raw",
            auth={name: item.cls for name, item in registry.auth.items()}, tokens=TokenFile(project.data_dir / "tokens.json"),
        )
        if now is None:
            frozen = replay.recorded_at if replay else None
            now = (lambda: frozen) if frozen is not None else (lambda: datetime.now(UTC))
        return cls(project, registry, http, redactor, now, Archive(project.data_dir / "archive", redactor))

    def _warn(self, report: RunReport, ticket: Ticket, message: str) -> None:
        """What a source says of its reading, into the run's report. Called in threads that read."""
        note = f"{ticket.partition.key}: {message}" if ticket.partition.key else message
        report.warnings.append(note)
        self.http.observers.emit(RuleWarned(report.feed, report.run_id, "", note))

    def constants(self) -> Scope:
        """What every template may read."""
        return {"vars": self.project.vars, "secrets": self.project.secrets}

    def format(self, plan: Plan, where: str) -> Format:
        """The feed's format with its options, over unpacked bodies where the feed says that they are compressed.

        Raises:
            ConfigError: an option cannot be filled.
        """
        kind: Any = self.registry.formats[plan.source.format].cls
        made: Format = kind(self.options(plan.source.format_options, kind.options, self.constants(), where))
        if not plan.source.compression:
            return made
        unpacking: Any = Unpacking(made, plan.source.compression, plan.source.members, self.http.limits)
        unpacked: Format = unpacking
        return unpacked

    def options(self, raw: Mapping[str, Any], kind: type, scope: Scope, where: str) -> Any:
        """Options of a plugin, rendered and typed.

        Raises:
            ConfigError: a name is undefined here, or a rendered text does not fit its option.
        """
        try:
            return convert(render_options(raw, scope), kind)
        except (TemplateError, msgspec.ValidationError) as error:
            place, words = (misfit_place(error), misfit(error)) if isinstance(error, msgspec.ValidationError) else ("", str(error))
            option = f"the option `{place}`" if place else "an option"
            raise ConfigError(
                f"{option} cannot be filled: {self.redactor.redact(words)}", where=where,
                did="nothing was asked; the position is kept", do="check it with nexus-engine validate-config",
            ) from None

    def keeping(self, plan: Plan, report: RunReport) -> Wrap | None:
        """What keeps the answers of a run; None when the feed has no archive."""
        if plan.archive is None:
            return None
        numbers = count(1)

        def wrap(http: SourceHttp, _: Unit, resume: object) -> Exchanges:
            return KeptHttp(http, self.archive, self.redactor, report.run_id, numbers, resumed=resume is not None)

        return wrap

    def units(
        self, plan: Plan, report: RunReport, halt: threading.Event, wrap: Wrap | None = None
    ) -> Callable[[Ticket, Unit, object], Iterator[Payload]]:
        """A function that reads one window from a position on. ``wrap`` stands between the source and its HTTP."""
        kind: Any = self.registry.sources[plan.source.plugin].cls
        where = f"feed {plan.feed}, {plan.spec_file}"
        self.format(plan, where)
        info = RunInfo(report.run_id, plan.feed, report.started_at)
        of_plan, parents = _meaning(plan), beside(plan.source.each)

        def read(ticket: Ticket, unit: Unit, resume: object) -> Iterator[Payload]:
            values = ticket.partition.values
            meaning = of_plan + "".join(f";{name}={values.get(name)}" for name in parents)  # rows hold them too
            window = asked(plan.cursor, unit)
            scope = {
                **self.constants(), "each": dict(values), "feed": {"name": plan.feed},
                "window": {"start": window.start, "end": window.end},
                "run": {"started_at": report.started_at, "id": report.run_id},
            }
            options = self.options(addressed(plan.source, scope), kind.options, scope, where)
            for secret in self.project.secrets.known():
                self.redactor.add(secret.reveal(), secret.name)
            http = self.http.for_feed(
                plan.feed, run_id=report.run_id, api=plan.source.api, policy=options if isinstance(options, Policy) else None, stop=halt
            )
            exchanges = wrap(http, unit, resume) if wrap is not None else None
            request = ReadRequest(
                options=options, partition=ticket.partition, window=window, position=resume, records=plan.source.records,
                want=plan.source.want, run=info, host=FeedHost(exchanges or http, self.format(plan, where), halt, partial(self._warn, report, ticket)),
                memo=ticket.memo["is"] if ticket.memo and ticket.memo["read"] == meaning else None,
                header=plan.cursor.header if plan.cursor else "",
            )
            for sent in kind().read(request):
                payload = masked(sent, self.redactor)
                if payload.last:
                    ticket.memo = None if payload.memo is None else {"read": meaning, "is": payload.memo}
                    payload = replace(payload, memo=ticket.memo, cursor=told_cursor(plan, payload))
                yield payload if exchanges is None else replace(payload, kept=exchanges.taken(payload))

        return read


def _meaning(plan: Plan) -> str:
    """What makes rows of an answer, hashed: with another spec the same answer is read again."""
    return hashlib.blake2b(msgspec.json.encode([plan.spec_hash, plan.query.select, plan.target]), digest_size=8).hexdigest()


def told_cursor(plan: Plan, payload: Payload) -> str | None:
    """What the source says of the position, as a cursor of the feed's type.

    Raises:
        StopFeed: it is none.
    """
    if plan.cursor is None or payload.cursor is None:
        return None
    try:
        return cursor_text(plan.cursor.kind, payload.cursor)
    except (ValueError, ArithmeticError):
        raise StopFeed(
            f"{payload.cursor[:100]!r}, which `cursor.from: {plan.cursor.source}` gives, is no {plan.cursor.kind}", where=payload.url,
            did="the last page did not land; the position stays before it", do="mend `cursor.type`, or name another header",
        ) from None


def masked(payload: Payload, redactor: Redactor) -> Payload:
    """The payload without the secrets an API repeats: from here on bodies are kept on disk. A short secret stays: it may as well
    be data."""
    if not isinstance(payload, Payload):
        raise TypeError(f"it yielded a {type(payload).__name__} where a Payload was due")
    body = payload.body if isinstance(payload.body, bytes) else msgspec.json.encode(payload.body)
    clean = redactor.redact_bytes(body, shortest=SHORTEST_IN_DATA)
    return payload if clean is body else replace(payload, body=clean)


def named_partition(key: str, parent: Mapping[str, str | None] | None = None) -> Partition:
    """The partition of that key, also when the spec has it no more; ``parent``: what `with` adds to its values."""
    pairs = (part.partition("=") for part in key.split(";") if part)
    return Partition(key, {**{name: unquote(value) for name, _, value in pairs}, **(parent or {})})


def limits_of(project: Project) -> Limits:
    words = project.limits
    return Limits(int(words.max_body), int(words.max_decompressed), words.max_ratio, redirects=words.max_redirects)
