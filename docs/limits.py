"""The table of limits in docs/security.md: those that options set, with their defaults, then those that are fixed, from the code itself."""

# ruff: noqa: INP001, SLF001  beside a script, not a package; a limit may be a constant of its module alone

from __future__ import annotations

import http.client
import re

from nexus_engine.clickhouse import engine
from nexus_engine.contract.policy import Policy, RetryOptions
from nexus_engine.deliver import ahead, fetch, run, session
from nexus_engine.host import body, connection, feed_http, ordered, transport, unpack
from nexus_engine.project.project import Project
from nexus_engine.service import query_guard, scheduler, socket_server
from nexus_engine.spec import files, filters, meaning, model, tree
from nexus_engine.state import history, records
from nexus_engine.testing.reference import keys_table
from nexus_plugins.formats.csv import format as csv
from nexus_plugins.formats.jsonl import format as jsonl
from nexus_plugins.formats.xml import format as xml
from nexus_plugins.sources.http import content
from nexus_plugins.sources.http.options import Paginate

Limit = tuple[str, int | float | str, str]  # (name, value, what it bounds)

# Options whose default is in the code that reads them: (name, default, what it bounds, where it is set)
_ELSEWHERE = (
    ("`concurrency` of `nexus.yaml`", Project.concurrency, "feeds that run at once", "`nexus.yaml`, up to 64"),
    ("`concurrency`: partitions", session.DEFAULT_CONCURRENCY, "partitions of one feed that are read at once", "a feed or an API, up to 256"),
    ("`concurrency`: requests", feed_http.CONCURRENCY, "requests of one API and credential in flight at once", "a feed or an API, up to 256"),
)  # fmt: skip


def table() -> str:
    """The rows, as they stand in docs/security.md."""
    lines = ["| limit | default | | where it is set |", "| --- | --- | --- | --- |"]
    rows = [(files.Limits, None, "`limits:` in `nexus.yaml`"), (RetryOptions, None, "`retry:` in a feed, an API or `nexus.yaml`"),
            (Policy, ("timeout",), "a feed, an API or `nexus.yaml`"), (Paginate, ("max_pages",), "`paginate:` in a feed or an API"),
            (model.Spec, ("max_refused",), "a feed"), (model.ArchiveSpec, None, "`archive:` in a feed")]  # fmt: skip
    for struct, only, where in rows:
        for line in keys_table(struct).splitlines()[2:]:
            name, _, default, description = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:5]]
            if only is None or name.strip("`") in only:
                said = description.removesuffix("; 60s unless given")
                lines.append(f"| {name} | {default or f'`{transport.Route.timeout_s:.0f}s`'} | {said} | {where} |")
    lines += [f"| {name} | `{value}` | {said} | {where} |" for name, value, said, where in _ELSEWHERE]
    return "\n".join(lines + [f"| {name} | `{value:,}` | {said} | fixed |" for name, value, said in (*_of_files(), *_of_answers(), *_of_runs())])


def _of_files() -> list[Limit]:
    return [
        ("bytes of a spec file", tree.MAX_BYTES, "a feed, API, sink or project file"),
        ("levels of a spec file", tree.MAX_DEPTH, "mappings and lists inside each other"),
        ("values of a spec file", tree.MAX_NODES, "mappings, lists and scalars"),
        ("characters of a template", filters.MAX_CHARS, "what one value becomes when it is filled in"),
        ("characters of SQL", meaning._SQL_CHARS, "one expression or statement in a feed"),
        ("levels of SQL", meaning._SQL_DEPTH, "brackets inside each other"),
    ]


def _of_answers() -> list[Limit]:
    return [
        ("bytes of headers", body.Limits.header_bytes, "of one answer, all together"),
        ("lines of headers", http.client._MAXHEADERS, "of one answer, with the blank one behind them"),
        ("seconds to connect", connection.CONNECT_S, "to one address, within `timeout`"),
        ("bytes fetched ahead", ordered.AHEAD_BYTES, "answers that wait for their turn"),
        ("bytes that error rules see", content.LOOKED_AT, "the beginning of a body; a path in JSON is looked for in all of it"),
        ("characters of a CSV field", csv._FIELD_BYTES, "one cell"),
        ("bytes of a JSON line", jsonl._LINE_BYTES, "one record, of a body that is read in pieces"),
        ("levels of XML", xml.DEPTH, "elements inside each other"),
        ("levels of XML that error rules see", content._DEPTH, "what is deeper is not looked at"),
        ("members of a zip", unpack._MEMBERS, "those that `compression: {zip: ...}` matches"),
    ]


def _of_runs() -> list[Limit]:
    limits, loop = query_guard.LIMITS, run.Limits
    names = ("max_result_rows", "max_result_bytes", "max_memory_usage", "max_execution_time")
    pinned = [name for name in engine.PINNED if name.startswith("max_")]
    return [
        ("reconnects of a window", fetch.RECONNECTS, "how often a source may ask for a new connection"),
        ("bytes between reading and staging", loop.channel_bytes, "answers of one feed; then reading waits"),
        ("bytes of a first batch", loop.first_bytes, "of a run; `batch_bytes` where that is less"),
        ("pages of a batch", loop.batch_pages, "then it closes, whatever its size"),
        ("seconds of a batch", loop.linger_s, "then it closes, whatever its size"),
        ("batches ahead", ahead.AHEAD, "of one feed that are closed and have not landed; then staging waits"),
        ("queries at once", engine.SESSIONS, "sessions of the embedded ClickHouse; more queries wait"),
        *((f"`{name}` of the engine", engine.PINNED[name], "ClickHouse setting of every query of the engine") for name in pinned),
        *((f"`{name}`", limits[name], "ClickHouse setting of `nexus-engine query`") for name in names),
        ("bytes of a quarantined record", records.MAX_RAW_BYTES, "longer ones are cut, and say so"),
        ("records in quarantine", history.KEEP_QUARANTINED, "of one feed; the oldest go"),
        ("runs in the history", history.KEEP_RUNS, "of one feed; the oldest go"),
        ("runs with their requests", history.KEEP_REQUESTS_OF_RUNS, "of one feed, in the history"),
        ("seconds once the engine stops", connection.STOP_GRACE_S, "what a request in flight still gets"),
        ("seconds of a drain", scheduler.DRAIN_S, "what runs under way get to come to a safe point when the service is stopped"),
        ("bytes of a command", socket_server.MAX_BODY_BYTES, "that a command sends to the running service"),
        ("connections to the service", socket_server.MAX_CONNECTIONS, "commands at once; more are refused"),
    ]  # fmt: skip
