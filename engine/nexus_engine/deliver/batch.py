"""One batch through the engine: map, isolate poison, judge, compare, spool. No state is changed here.

::

    stage -> map -> (poison? one record at a time) -> page limits -> rules | refused rows -> compare -> spool file

Lines of a large body are mapped as they came. Where ClickHouse does not read one record from each, they are looked at line by line
and mapped as lists, like every other body.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.layout import Layout
from nexus_engine.compile.plan import Plan
from nexus_engine.compile.raw import rebuild, some_records
from nexus_engine.contract.lines import is_object, line_values, picked_lines
from nexus_engine.deliver import crash
from nexus_engine.deliver.poison import DATA_ERRORS, isolate
from nexus_engine.deliver.shape import shape_of
from nexus_engine.deliver.stage import Stage, Staged
from nexus_engine.deliver.worked import Bench, Guilt, Mapped, PageStats, Refusal, Worked
from nexus_engine.errors import NexusError, OutOfSpace, PageError, RuleFailed, StopFeed, TooManyRefused

_LOW_BYTES = 16 << 20  # free on a disk that counts as full


def work(stage: Stage, bench: Bench) -> Worked:
    """Map and judge a closed stage; see the module's text. What is behind the bar comes later: :func:`explain`, and under the table's
    lock :func:`select`.

    Raises:
        RuleFailed, TooManyRefused: the whole batch is not to land.
        StopFeed, OutOfSpace: the query itself does not run.
    """
    try:
        return _work(stage, bench, lines=stage.lines)
    except _Misread:
        bench.layouts.alike = False
        return _work(stage, bench, lines=False)


def _work(stage: Stage, bench: Bench, *, lines: bool) -> Worked:
    file = bench.file(f"{stage.path.stem}.mapped.arrow")
    kept, mapped, poison, stats, broken = _mapped(stage, bench, file, lines=lines)
    failures = {**broken, **_guilty_pages(kept, stats, poison, bench, mapped)}
    if failures:
        cut = _cut(kept, failures, bench)
        poison = [refusal for refusal in poison if refusal.p in {staged.p for staged in cut.payloads}]
        kept, mapped, more, stats, _ = _mapped(cut, bench, file, lines=lines)
        poison += more
    warnings = _judge_batch(kept, stats, poison, bench, mapped)
    return Worked(kept, stats, poison, failures, warnings, {}, mapped, 0, None, shape_of(stage, bench.plan, bench.redact))


def explain(worked: Worked, bench: Bench) -> Worked:
    """The same with the refused rows among the refusals. Apart from :func:`work`, which another batch may be waiting for."""
    guilty = {p for p, page in worked.stats.items() if page.read > page.ok + page.filtered}
    if not guilty:
        return worked
    try:
        worked.refusals += _explain(worked.stage, guilty, bench, worked.mapped, "refused")
    except _Misread:  # a line of another layout whose text, cut, was refused: its JSON is not
        bench.layouts.alike = False
        again = _work(worked.stage, bench, lines=False)
        again.failures = {**worked.failures, **again.failures}
        return explain(again, bench)
    return worked


def select(worked: Worked, bench: Bench) -> None:
    """Compare with what the table holds. Where every good row lands, they stay where they were mapped to; else they are written into
    a file beside the stage. Call under the table's lock."""
    good = sum(stats.ok for stats in worked.stats.values()) if worked.stage.has_lines else 0
    if not good:
        return
    query, engine, mapped = bench.plan.query, bench.engine, worked.mapped.relation
    worked.counts = {p: {"new": stats.ok} for p, stats in worked.stats.items()}
    if bench.plan.target.key:
        verdicts = bench.file(f"{worked.stage.path.stem}.verdicts.arrow")
        current = bench.sink.current(bench.plan.target)
        if current is not None and bench.goes:
            current = f"(SELECT *, _nexus_batch, _nexus_row FROM {current} WHERE NOT {bench.goes})"
        engine.query(query.compare_sql(mapped, verdicts, current, _ages(worked.stage, bench)))
        found = {int(row.pop("_p")): {name: int(n) for name, n in row.items()} for row in engine.rows(query.compare_counts_sql(verdicts))}
        worked.counts = {p: _superseded(stats.ok, found.get(p, {})) for p, stats in worked.stats.items()}
    worked.rows = sum(count["new"] + count.get("revised", 0) for count in worked.counts.values())
    if worked.rows == good:
        worked.spool = worked.mapped.path
    elif worked.rows:
        worked.spool = bench.file(f"{worked.stage.path.stem}.spool.arrow")
        engine.query(query.finish_sql(mapped, worked.spool, verdicts))


def _ages(stage: Stage, bench: Bench) -> Path | None:
    """How old the answers of a batch are when they are parsed again: a row that a later answer gave stays."""
    if bench.ages is None:
        return None
    path = bench.file(f"{stage.path.stem}.ages.jsonl")
    with path.open("wb") as out:
        out.writelines(msgspec.json.encode(line) + b"\n" for line in bench.ages(stage))
    return path


def _superseded(good: int, found: dict[str, int]) -> dict[str, int]:
    """The counts of a payload with those of its good rows that a later row of the batch took the place of."""
    return {"new": 0, "revised": 0, "unchanged": 0, **found, "superseded": good - sum(found.values())}


class _Misread(Exception):
    """Lines of a stage are not a record each, in their order."""


def _mapped(
    stage: Stage, bench: Bench, file: Path, *, lines: bool
) -> tuple[Stage, Mapped, list[Refusal], dict[int, PageStats], dict[int, Guilt]]:
    """What was mapped, and where to, records that broke the query, the counts by payload, and by unit the first page whose lines are
    no JSON."""
    broken: dict[int, Guilt] = {}
    if stage.lines:
        found = (_map_aside(stage, bench) or _map_lines(stage, bench, file)) if lines else None
        if found is not None:
            mapped, stats = found
            return stage, mapped, [], stats, {}
        stage, broken = _as_lists(stage, bench)
    kept, poison = _map(stage, bench, file)
    mapped = Mapped(bench.plan.query.mapped(file), file)
    return kept, mapped, poison, _stats(bench, mapped) if kept.has_lines else {}, broken


def _map_lines(stage: Stage, bench: Bench, file: Path) -> tuple[Mapped, dict[int, PageStats]] | None:
    """The counts; None unless there are as many records as lines."""
    query = bench.plan.query
    mapped = Mapped(query.mapped(file), file)
    try:
        _read_lines(stage, bench, lambda layout: query.map_lines_sql(stage.path, file, bench.run, stage.line_keys, stage.firsts, layout))
    except EngineError:  # why, the lists will say
        return None
    stats = _stats(bench, mapped)
    return (mapped, stats) if sum(page.read for page in stats.values()) == stage.rows else None


def _map_aside(stage: Stage, bench: Bench) -> tuple[Mapped, dict[int, PageStats]] | None:
    """The same into a side table; None where the sink has none for this target. Which records were refused is told by the numbers that
    are not there.

    Raises:
        _Misread
    """
    query = bench.plan.query
    side = bench.sides.make() if bench.sides is not None and query.side and stage.has_lines else None
    if side is None:
        return None
    try:
        read = _read_lines(
            stage, bench, lambda layout: query.side_sql(stage.path, side.table, side.batch_id, bench.run, stage.line_keys, layout),
            again=f"TRUNCATE TABLE {side.table}",
        )  # fmt: skip
    except EngineError:  # as above
        raise _Misread from None
    crash.point("side.filled")
    if read != stage.rows:
        raise _Misread
    (row,) = bench.engine.rows(query.missing_sql(side.table, stage.rows))
    mapped = Mapped(query.mapped_aside(side.table, stage.firsts), side=side, refused=stage.places(sorted(row["missing"])))
    more = _stats(bench, mapped) if query.cursor or bench.plan.archive else {}
    found = {}
    for staged in stage.payloads:
        if staged.length:
            read = staged.payload.records
            found[staged.p] = replace(more.get(staged.p, PageStats()), read=read, ok=read - len(mapped.refused.get(staged.p, ())))
    return mapped, found


def _read_lines(stage: Stage, bench: Bench, statement: Callable[[Layout | None], str], *, again: str = "") -> int:
    """Run a statement over a file of lines: by their layout, and as JSON where they are not all alike; ``again`` is run before it runs a
    second time. How many rows it read.

    Raises:
        EngineError
    """
    layout = bench.layouts.of(stage) if bench.plan.query.flat else None
    if layout is not None:
        try:
            return bench.engine.query(statement(layout))
        except EngineError:  # if it is for another reason, it comes again
            bench.layouts.alike = False
        if again:
            bench.engine.query(again)
    return bench.engine.query(statement(None))


def _as_lists(stage: Stage, bench: Bench) -> tuple[Stage, dict[int, Guilt]]:
    """A copy with a list in the place of each payload's lines, up to the first payload with a line that is no JSON."""
    lists = Stage(bench.file(f"{stage.path.stem}.lists.jsonl"))
    broken: dict[int, Guilt] = {}
    for staged in stage.payloads:
        body = b""
        if staged.length and not broken:
            try:
                body = b"[" + b",".join(line_values(stage.text(staged), staged.payload.line)) + b"]"
            except ValueError as error:
                broken[staged.unit] = Guilt(staged.p, _not_json(str(error), staged, bench.plan))
        lists.keep(stage, staged, body=body)
    lists.close()
    return lists, broken


def _not_json(what: str, staged: Staged, plan: Plan) -> PageError:
    return PageError(
        what, url=staged.payload.url, page=staged.payload.page, where=f"feed {plan.feed}",
        did="the pages before it landed; the position stays in front of it",
        do=f"compare the answer with the spec's `format`; when the source has mended it, run again: nexus-engine run {plan.feed} --once",
    )


def _map(stage: Stage, bench: Bench, mapped: Path) -> tuple[Stage, list[Refusal]]:
    """Run the query; when a record breaks it, take that record out alone and run it again."""
    if not stage.has_lines:
        return stage, []
    try:
        bench.engine.query(bench.plan.query.map_sql(stage.path, mapped, bench.run))
        return stage, []
    except EngineError as error:
        if error.code not in DATA_ERRORS:
            raise query_failed(error, bench.plan) from None
    kept, guilty = isolate(stage, bench.plan, lambda raw: _try(bench, raw), bench.file)
    poison = [Refusal(g.p, g.record, g.raw, (f"record: structure: {g.reason}",)) for g in guilty]
    if kept.has_lines:
        try:
            bench.engine.query(bench.plan.query.map_sql(kept.path, mapped, bench.run))
        except EngineError as error:
            raise query_failed(error, bench.plan) from None
    return kept, poison


def _try(bench: Bench, raw: Path) -> str | None:
    """The engine's complaint about a raw file, or None when the query runs over it."""
    try:
        bench.engine.query(bench.plan.query.map_sql(raw, bench.file(f"{raw.stem}.try.arrow"), bench.run))
    except EngineError as error:
        if error.code in DATA_ERRORS:
            return error.message.splitlines()[0][:300]
        raise query_failed(error, bench.plan) from None
    return None


def query_failed(error: EngineError, plan: Plan, *, full: bool = False) -> NexusError:
    """The feed's query does not run, for a reason that is not one record's. ``full``: the disk is."""
    if full or error.no_space:
        return OutOfSpace(
            "no space is left for the rows of a batch", where=f"feed {plan.feed}", did="nothing of this batch landed; the position is kept",
            do="free some space, then start again",
        )
    return StopFeed(
        f"the feed's query failed: {error.message.splitlines()[0][:500]} (ClickHouse code {error.code})",
        where=f"feed {plan.feed}, {plan.spec_file}",
        did="nothing of this batch landed; the position is kept",
        do=f"see the query with: nexus-engine plan {plan.feed} --sql",
    )


def _stats(bench: Bench, mapped: Mapped) -> dict[int, PageStats]:
    found = {}
    try:
        rows = bench.engine.rows(bench.plan.query.stats_sql(mapped.relation, ends=bench.plan.archive is not None))
    except EngineError as error:  # on a full disk a file may be short, and its writing have succeeded
        raise query_failed(error, bench.plan, full=shutil.disk_usage(bench.folder).free < _LOW_BYTES) from None
    for row in rows:
        ends = (row.get("first_row"), row.get("last_row")) if int(row["ok"]) else (None, None)
        found[int(row["_p"])] = PageStats(int(row["read"]), int(row["ok"]), int(row["filtered"]), row["cursor_max"], *ends)
    return found


def _poisoned(poison: list[Refusal]) -> Counter[int]:
    return Counter(refusal.p for refusal in poison)


def _guilty_pages(
    stage: Stage, stats: dict[int, PageStats], poison: list[Refusal], bench: Bench, mapped: Mapped
) -> dict[int, Guilt]:
    """Per unit: the error of its first page with more refusals than `max_refused`."""
    limit, bad = bench.plan.max_refused, _poisoned(poison)
    failures: dict[int, Guilt] = {}
    for staged in stage.payloads:
        page = stats.get(staged.p, PageStats())
        read = page.read + bad[staged.p]
        refused = read - page.ok - page.filtered
        if read and refused / read > limit and staged.unit not in failures:
            failures[staged.unit] = Guilt(staged.p, _too_many(staged, refused, read, stage, poison, bench, mapped))
    return failures


def _too_many(
    staged: Staged, refused: int, read: int, stage: Stage, poison: list[Refusal], bench: Bench, mapped: Mapped
) -> TooManyRefused:
    shown = [refusal for refusal in poison if refusal.p == staged.p]
    if staged.length:
        shown += _explain(stage, {staged.p}, bench, mapped, f"page{staged.p}")
    reasons = Counter(reason for refusal in shown for reason in refusal.reasons)
    common = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    sample = f"; for example {shown[0].raw[:200]}" if shown else ""
    return TooManyRefused(
        f"{refused} of {read} records of page {staged.payload.page} were refused, more than max_refused {bench.plan.max_refused:g} "
        f"allows: {common}{sample} ({staged.payload.url})",
        where=f"feed {bench.plan.feed}",
        did="the pages before it landed; the position stays in front of it",
        do=f"see what changed with: nexus-engine preview {bench.plan.feed}; mend the fields, or raise max_refused",
    )


def _cut(stage: Stage, failures: dict[int, Guilt], bench: Bench) -> Stage:
    """The stage without the guilty pages and what follows them in their own partitions."""
    guilty: dict[str, int] = {}
    for unit, guilt in failures.items():
        key = stage.units[unit].partition.key
        guilty[key] = min(guilt.p, guilty.get(key, guilt.p))

    def before(staged: Staged) -> bool:
        return staged.p < guilty.get(stage.units[staged.unit].partition.key, staged.p + 1)

    return stage.where(before, bench.file(f"{stage.path.stem}.cut.jsonl"))


def _judge_batch(
    stage: Stage, stats: dict[int, PageStats], poison: list[Refusal], bench: Bench, mapped: Mapped
) -> list[str]:
    """Limits and rules over the whole batch; the warnings of rules that only warn."""
    read = sum(page.read for page in stats.values()) + len(poison)
    refused = read - sum(page.ok + page.filtered for page in stats.values())
    where = f"feed {bench.plan.feed}"
    if read and refused / read > bench.plan.max_refused:
        raise TooManyRefused(
            f"{refused} of {read} records of a batch were refused, more than max_refused {bench.plan.max_refused:g} allows",
            where=where, did="nothing of the batch landed; the position is kept",
            do=f"see what changed with: nexus-engine preview {bench.plan.feed}",
        )
    rules = bench.plan.query.rules_sql(mapped.relation, bench.run) if stage.has_lines else None
    if rules is None:
        return []
    warnings = []
    for verdict in bench.plan.query.judge_rules(bench.engine.rows(rules)[0]):
        if verdict.ok:
            continue
        if verdict.severity == "warn":
            warnings.append(verdict.message)
        else:
            raise RuleFailed(
                f"rule {verdict.rule} does not hold: {verdict.message}", where=where,
                did="nothing of the batch landed; the position is kept",
                do="look at the data with nexus-engine preview, then mend the feed or the rule",
            )
    return warnings


def _explain(stage: Stage, guilty: set[int], bench: Bench, mapped: Mapped, name: str) -> list[Refusal]:
    """The reasons of the refused rows of some payloads, each with its record's own text. Reasons cost more than rows, so the
    query for them sees the refused records alone, each payload rebuilt around its own."""
    source, query = bench.plan.source, bench.plan.query
    refused: dict[int, list[int]] = defaultdict(list)
    if mapped.side is None:
        for row in bench.engine.rows(query.refused_rows_sql(mapped.relation)):
            if row["_p"] in guilty:
                refused[row["_p"]].append(row["_i"])
    else:
        refused.update((p, numbers) for p, numbers in mapped.refused.items() if p in guilty)
    small, texts = bench.file(f"{stage.path.stem}.{name}.jsonl"), {}
    with small.open("wb") as out:
        for p, numbers in refused.items():
            staged = stage.at(p)
            if stage.lines:
                body, texts[p] = b"[]", _lines_of(stage.text(staged), numbers)
            else:
                body = stage.body(staged)
                texts[p] = some_records(body, numbers, source.records, source.flat, source.want.leaves)
            out.write(stage.line(staged, rebuild(body, texts[p], source.records, source.flat, source.want.leaves)))
    try:
        rows = sorted(bench.engine.rows(query.refused_sql(small, bench.run)), key=lambda row: (row["_p"], row["_i"]))
    except EngineError as error:  # a rule's expression that no good record comes to
        raise query_failed(error, bench.plan) from None
    told = [(row["_p"], row["_i"], reasons) for row in rows if (reasons := query.reasons_of(row))]
    if stage.lines and len({(p, i) for p, i, _ in told}) < sum(map(len, refused.values())):
        raise _Misread
    return [Refusal(p, refused[p][i], texts[p][i].decode("utf-8", "replace"), reasons) for p, i, reasons in told]


def _lines_of(text: bytes, numbers: list[int]) -> list[bytes]:
    """The lines of refused records. ClickHouse also reads two records on one line and none on the next: then what stands behind is at
    other lines than its number says, and either a line here is no object, or it is a good record, which has no reasons.

    Raises:
        _Misread
    """
    try:
        found = picked_lines(text, numbers)
    except IndexError:
        raise _Misread from None
    if not all(map(is_object, found)):
        raise _Misread
    return found
