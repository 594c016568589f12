"""One batch through the engine: map, isolate poison, judge, compare, spool. No state is changed here.

::

    stage -> map -> (poison? one record at a time) -> page limits -> rules | refused rows -> compare -> spool file

Lines of a large body go their own way as far as they can (`deliver.lines`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import msgspec

from nexus_engine.clickhouse.engine import EngineError
from nexus_engine.compile.raw import rebuild, some_records
from nexus_engine.deliver.counts import query_failed, stats_of
from nexus_engine.deliver.lines import Misread, as_lists, lines_of, map_aside, map_lines
from nexus_engine.deliver.poison import DATA_ERRORS, isolate
from nexus_engine.deliver.shape import shape_of
from nexus_engine.deliver.stage import Stage, Staged
from nexus_engine.deliver.worked import Bench, Guilt, Mapped, PageStats, Refusal, Worked
from nexus_engine.errors import RuleFailed, TooManyRefused


def work(stage: Stage, bench: Bench) -> Worked:
    """Map and judge a closed stage; see the module's text. What is behind the bar comes later: :func:`explain`, and under the table's
    lock :func:`select`.

    Raises:
        RuleFailed, TooManyRefused: the whole batch is not to land.
        StopFeed, OutOfSpace: the query itself does not run.
    """
    try:
        return _work(stage, bench, lines=stage.lines)
    except Misread:
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
    except Misread:  # a line of another layout whose text, cut, was refused: its JSON is not
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


def _mapped(
    stage: Stage, bench: Bench, file: Path, *, lines: bool
) -> tuple[Stage, Mapped, list[Refusal], dict[int, PageStats], dict[int, Guilt]]:
    """What was mapped, and where to, records that broke the query, the counts by payload, and by unit the first page whose lines are
    no JSON."""
    broken: dict[int, Guilt] = {}
    if stage.lines:
        found = (map_aside(stage, bench) or map_lines(stage, bench, file)) if lines else None
        if found is not None:
            mapped, stats = found
            return stage, mapped, [], stats, {}
        stage, broken = as_lists(stage, bench)
    kept, poison = _map(stage, bench, file)
    mapped = Mapped(bench.plan.query.mapped(file), file)
    return kept, mapped, poison, stats_of(bench, mapped) if kept.has_lines else {}, broken


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
                body, texts[p] = b"[]", lines_of(stage, staged, numbers)
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
        raise Misread
    return [Refusal(p, refused[p][i], texts[p][i].decode("utf-8", "replace"), reasons) for p, i, reasons in told]
