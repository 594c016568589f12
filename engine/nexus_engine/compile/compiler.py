"""Spec -> Plan. Pure: text in, plain data out; every problem found is reported, each at its key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nexus_engine.clickhouse.quoting import ident
from nexus_engine.clickhouse.types import CHType, parse_type
from nexus_engine.compile import rules as rule_texts
from nexus_engine.compile import sqlcheck
from nexus_engine.compile.archiving import archive_plan
from nexus_engine.compile.checks import checks
from nexus_engine.compile.cursors import cursor_plan, kind_of, misfits, value_sql
from nexus_engine.compile.fanout import described, each_columns, each_plans, from_data
from nexus_engine.compile.mapping import RUN_DEPENDENT, Field, Scope, source_text
from nexus_engine.compile.plan import CursorPlan, DriftPlan, EachPlan, ListingPlan, Plan, SchedulePlan, SourcePlan
from nexus_engine.compile.problems import CompileError, CompileProblem
from nexus_engine.compile.query import OutColumn, Query, staged
from nexus_engine.compile.select import Layers, RowRule, Step
from nexus_engine.compile.structure import Structure, record_problems
from nexus_engine.compile.unread import CAPTURED_FIELD, capture_problems, unread_text
from nexus_engine.contract.options import encode_text, misfit, misfit_place
from nexus_engine.contract.paths import written
from nexus_engine.contract.records import Others, Records, Want
from nexus_engine.contract.sink import Column, Target
from nexus_engine.spec.convert import convert
from nexus_engine.spec.model import CAPTURED, Capture, DriftSpec, OnDrift, RuleSpec, Spec, each_names

# Options that change how an answer is got, not which records it holds: a stored position keeps its meaning when they change.
_NOT_POSITION = {
    "auth", "credential", "headers", "timeout", "retry", "rate", "budget", "quota", "cost",
    "concurrency", "limits", "hosts", "max_body", "errors", "conditional",
}
_INTERNAL = ("_nexus_", "_p", "_i", "_row", "_ok", "_filtered")


class _Compiler:
    """One compilation: collects problems on the way."""

    def __init__(
        self, spec: Spec, formats: Mapping[str, type], transformers: Mapping[str, type], vars: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self.formats = formats
        self.transformers = transformers
        self.problems: list[CompileProblem] = []
        self.records = spec.source.records if isinstance(spec.source.records, Records) else Records(path=spec.source.records)
        self.format, self.format_options = _format(spec)
        self.flat = bool(getattr(formats.get(self.format), "flat", False))
        structure = self.tried("source.records", "bad-path", lambda: Structure(self.records, flat=self.flat))
        self.scope = Scope(structure or Structure(Records(), flat=self.flat), each_names(spec.source.each), dict(vars))
        self.fields: dict[str, Field] = {}
        self.extra: dict[str, str] = {}
        self.batch_rules: list[rule_texts.BatchRule] = []
        self.sql_paths: dict[str, str] = {}
        self.captured = ""  # the column of `new_fields: capture`
        self.each: dict[str, tuple[str, ...] | EachPlan] = {}

    def tried(self, path: str, code: str, work: Callable[[], Any]) -> Any:
        """``work()``, or None with a problem at ``path``."""
        try:
            return work()
        except ValueError as error:
            message, _, near = str(error).partition(", did you mean ")
            near, _, rest = near.partition("?")
            self.problem(path, code, message + rest, near)
            return None

    def problem(self, path: str, code: str, message: str, suggestion: str = "") -> None:
        self.problems.append(CompileProblem(path, code, message, suggestion))

    def plan(self) -> Plan:
        if self.format not in self.formats and self.format != "json":
            self.problem("source.format", "unknown-format", f"no format `{self.format}` is installed; there are {', '.join(self.formats)}")
        for path, code, message in record_problems(self.records, self.format, self.formats.get(self.format)):
            self.problem(path, code, message)
        self._declare()
        texts = self._texts()
        self._capture()
        self._sql_fields()
        steps = self._steps()
        columns = self._columns(steps)
        row_rules = self._rules({field.name: field.kind for field in columns})
        target = self._target(columns)
        cursor = self._cursor()
        self.each = each_plans(self.spec, self._listing)
        if self.problems:
            raise CompileError(self.problems)
        resolved = {name: self.scope.resolved(text) for name, text in texts.items()}
        if self.captured:
            resolved[self.captured] = unread_text("_nexus_w", self.scope.paths)
        layers = Layers(
            fields=list(self.fields.values()),
            texts=resolved,
            rows=self.scope.structure.rows(staged),
            columns=columns,
            steps=steps,
            rules=row_rules,
            extra={name: self.scope.resolved(text) for name, text in self.extra.items()},
        )
        lines, side, structure = "", "", self.scope.structure
        if getattr(self.formats.get(self.format), "lines", False) and (rows := structure.line_rows()):
            lines = layers.over(rows, structure.line_text).select()
            if not (steps or target.key):
                side = layers.over(structure.line_rows(numbered=True), structure.line_text).select()
        return self._plan(layers, lines, side, target, cursor)

    def _declare(self) -> None:
        for name, spec in self.spec.fields.items():
            at = f"fields.{name}"
            if name.startswith(_INTERNAL[0]) or name in _INTERNAL:
                self.problem(at, "reserved-name", f"`{name}` is a name of the engine's own")
            self.tried(at, "bad-name", lambda name=name: ident(name))  # type: ignore[misc]
            kind = self.tried(f"{at}.type", "bad-type", lambda spec=spec: parse_type(spec.type))  # type: ignore[misc]
            given = [word for word, text in (("from", spec.from_), ("value", spec.value), ("sql", spec.sql)) if text not in ("", None)]
            if len(given) > 1:
                self.problem(at, "two-sources", f"only one of {' and '.join(f'`{word}`' for word in given)} can be given")
            if spec.epoch and spec.format:
                self.problem(at, "two-formats", "only one of `epoch` and `format` can be given")
            sources = f"{spec.from_} {spec.value or ''}"
            self.fields[name] = Field(
                name, kind or CHType("String"), spec, depends_on_run=any(root in sources for root in RUN_DEPENDENT)
            )

    def _texts(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        for name, field in self.fields.items():
            if field.spec.sql:
                continue
            at = f"fields.{name}"
            key = "value" if field.spec.value is not None else "from" if field.spec.from_ else ""
            text = self.tried(
                f"{at}.{key}" if key else at, "unknown-name", lambda field=field: source_text(field.spec, field.name, self.scope)  # type: ignore[misc]
            )
            if text is not None:
                texts[name] = text
                self.tried(f"{at}.{'epoch' if field.spec.epoch else 'format'}", "bad-format", field.guard)
        return texts

    def _capture(self) -> None:
        """The column of `new_fields: capture`: like a field whose text is what the other fields do not read."""
        words = self.spec.new_fields
        if words:
            name = words.capture if isinstance(words, Capture) else CAPTURED
            for path, code, message in capture_problems(self.spec, self.records, self.formats.get(self.format), name):
                self.problem(path, code, message)
            self.captured, self.scope.structure.whole = name, True
            self.fields.setdefault(name, Field(name, CHType("String"), CAPTURED_FIELD))

    def _bound(self, written: str, known: Mapping[str, str], *, record: bool, used: set[str] | None = None) -> str:
        """A user's expression with its names bound: fields first, then reserved roots and paths of the record (``record``)."""

        def bind(parts: tuple[str, ...]) -> str:
            if parts[0] in known:
                if used is not None:
                    used.add(parts[0])
                return known[parts[0]] + "".join(f".{part if part.isdigit() else ident(part)}" for part in parts[1:])
            name = ".".join(parts)
            if not record:
                raise ValueError(f"there is no field `{name}` here; there are {', '.join(known)}")
            if parts[0] in ("each", "run", "window", "feed", "vars"):
                text = self.scope.reserved(name)
            else:
                text = self.scope.text(name) if self.scope.structure.way.is_parent(name) else self.scope.path(parts)
            internal = next((key for key, value in self.extra.items() if value == text), f"_nexus_s{len(self.extra)}")
            self.extra[internal] = text
            if used is not None:
                used.add(internal)
            return internal

        return sqlcheck.expression(written, bind)

    def _sql_fields(self) -> None:
        known = {name: ident(name) for name in self.fields}
        uses: dict[str, set[str]] = {}
        for name, field in self.fields.items():
            if field.spec.sql:
                uses[name] = set()
                field.sql = (
                    self.tried(
                        f"fields.{name}.sql", "bad-sql",
                        lambda field=field: self._bound(field.spec.sql, known, record=True, used=uses[field.name]),  # type: ignore[misc]
                    )
                    or "NULL"
                )  # fmt: skip
        runs = {name for name, text in self.extra.items() if "\0run_" in text}
        runs |= {name for name, field in self.fields.items() if field.depends_on_run}
        for _ in uses:  # as often as a chain can be long
            runs |= {name for name, used in uses.items() if used & runs}
        for name in uses:
            self.fields[name].depends_on_run = name in runs
            if self._circular(name, uses):
                self.problem(f"fields.{name}.sql", "circular", f"`{name}` is worked out from itself")

    @staticmethod
    def _circular(name: str, uses: Mapping[str, set[str]]) -> bool:
        reached: set[str] = set()
        todo = set(uses[name])
        while todo:
            reached |= todo
            todo = {further for one in todo for further in uses.get(one, ())} - reached
        return name in reached

    def _steps(self) -> list[Step]:
        steps: list[Step] = []
        names = list(self.fields)
        for n, step in enumerate(self.spec.transform):
            path = f"transform[{n}]"
            text = step.sql
            if step.plugin:
                cls = self.transformers.get(step.plugin)
                if cls is None or not hasattr(cls, "sql"):
                    self.problem(f"{path}.plugin", "unknown-transformer", f"no transformer `{step.plugin}` that gives SQL is installed")
                    continue
                try:
                    options = convert(step.options, getattr(cls, "options", dict))
                except msgspec.ValidationError as error:
                    self.problem(".".join(filter(None, (path, misfit_place(error)))), "wrong-value", misfit(error))
                    continue
                text = cls(options).sql("input")
            found = self.tried(
                f"{path}.sql", "bad-sql", lambda text=text, names=names: sqlcheck.transform(text, names)  # type: ignore[misc]
            )
            if found is not None:
                steps.append(found)
                names = list(found.items)
        return steps

    def _columns(self, steps: list[Step]) -> list[Field]:
        if not steps:
            return list(self.fields.values())
        for name in steps[-1].items:
            if name not in self.fields:
                self.problem("transform", "no-type", f"`{name}` comes out of the transform and has no type: give it one in `fields`")
        if self.captured and self.captured not in steps[-1].items:
            self.problem("transform", "no-column", f"`{self.captured}`, the column of `new_fields`, does not come out of the transform: select it")
        return [field for name, field in self.fields.items() if name in steps[-1].items]

    def _rules(self, kinds: Mapping[str, CHType]) -> list[RowRule]:
        found: list[RowRule] = []
        for n, rule in enumerate(self.spec.validate):
            at = f"validate[{n}]"
            name = self.tried(f"{at}.expect", "unknown-rule", lambda rule=rule: rule_texts.rule_name(rule.expect))  # type: ignore[misc]
            if name is None:
                continue
            for key, field in (("field", rule.field), *(("fields", field) for field in rule.fields)):
                if field and field not in kinds:
                    self.problem(f"{at}.{key}", "unknown-field", f"there is no field `{field}`; there are {', '.join(kinds)}")
                    break
            else:
                self.tried(at, "bad-rule", lambda: self._rule(name, rule, kinds, found, at))  # noqa: B023
        return found

    def _rule(self, name: str, rule: RuleSpec, kinds: Mapping[str, CHType], found: list[RowRule], at: str) -> None:
        label = f"{name}({rule.field or ', '.join(rule.fields)})" if rule.field or rule.fields else name
        if name in rule_texts.BATCH_RULES:
            self.batch_rules.append(rule_texts.batch_rule(name, rule, kinds, label))
            return
        if name != "sql" and not rule.field:
            raise ValueError(f"`{name}` needs `field`")
        sql = ""
        if rule.sql:
            sql = self._bound(rule.sql, {field: ident(field) for field in kinds}, record=False)
        check = rule_texts.row_check(name, rule, kinds, sql)
        if rule.severity == "quarantine" and rule.mostly == 1:
            found.append(RowRule(name, rule.field, check))
        else:
            self.batch_rules.append(rule_texts.share_rule(check, rule, label))

    def _target(self, columns: list[Field]) -> Target:
        spec = self.spec.target
        database, _, table = spec.table.partition(".")
        if not database or not table:
            self.problem("target.table", "bad-table", "a table is written `database.table`")
        names = {field.name: field for field in columns}
        for key, wanted in (("key", spec.key), ("order_by", spec.order_by)):
            for name in wanted:
                if name not in names and key == "key":
                    self.problem(f"target.{key}", "unknown-field", f"there is no field `{name}`; there are {', '.join(names)}")
                elif name in names and names[name].kind.nullable:
                    self.problem(f"target.{key}", "nullable-key", f"`{name}` can be null: a key needs a value in every row")
        known = {name: ident(name) for name in names}
        for key, texts in (("partition_by", (spec.partition_by,)), ("order_by", spec.order_by)):
            for text in texts:
                if text and text not in names:
                    self.tried(f"target.{key}", "bad-sql", lambda text=text: self._bound(text, known, record=False))  # type: ignore[misc]
        columns_out = tuple(
            Column(field.name, str(field.kind), field.depends_on_run, "", field.spec.codec, field.spec.description)
            for field in columns
        )
        return Target(
            sink=spec.sink or "clickhouse", database=database, table=table, columns=columns_out, key=spec.key, mode=spec.mode,
            engine=spec.engine or "MergeTree", order_by=spec.order_by or spec.key, partition_by=spec.partition_by,
            indexes=spec.indexes, ttl=spec.ttl, settings=spec.settings, comment=self.spec.description,
        )  # fmt: skip

    def _cursor(self) -> CursorPlan | None:
        spec = self.spec.cursor
        if spec is None:
            return None
        field = self.fields.get(spec.field)
        if field is None and not spec.from_:
            self.problem("cursor.field", "unknown-field", f"there is no field `{spec.field}`; there are {', '.join(self.fields)}")
            return None
        kind = kind_of(field.kind) if field is not None else spec.type or "text"
        for key, message in misfits(spec, kind, self.spec.source.options):
            self.problem(f"cursor.{key}", "cursor", message)
        return cursor_plan(spec, kind)

    def _listing(self, spec: Spec, places: Mapping[str, str]) -> ListingPlan | None:
        """The listing that ``spec`` describes; None with problems, at the places that its own have in the feed."""
        try:
            plan = compile_feed(spec, formats=self.formats, vars=self.scope.vars)
        except CompileError as error:
            for problem in error.problems:
                place = next((theirs + problem.path[len(ours) :] for ours, theirs in places.items() if problem.path.startswith(ours)), "source.each")
                self.problem(place, problem.code, problem.message, problem.suggestion)
            return None
        want = msgspec.structs.replace(plan.source.want, lines=False)  # its pages are one stage
        return ListingPlan(source=msgspec.structs.replace(plan.source, want=want), query=plan.query)

    def _plan(self, layers: Layers, lines: str, side: str, target: Target, cursor: CursorPlan | None) -> Plan:
        spec = self.spec
        columns = tuple(OutColumn(name=column.name, type=column.type, run=column.run) for column in target.columns)
        query = Query(
            select=layers.select(), reasons=layers.reasons(), named=layers.named(), lines=lines, side=side,
            members=self.scope.structure.line_members() if lines else (),
            keys=tuple(self.scope.structure.keys), columns=columns, key=target.key,
            cursor=value_sql(cursor, {name: field.kind for name, field in self.fields.items()}), rules=tuple(self.batch_rules), checks=checks(layers),
        )  # fmt: skip
        leaves = tuple(str(path[0]) for path in self.scope.paths) if self.flat else self.scope.structure.leaves(self.scope.paths)
        others: Others = "all" if self.captured else "some" if self.flat else "none"
        packed = spec.source.compression
        compression, members = (packed, "*") if isinstance(packed, str) else ("zip", packed.zip)
        source = SourcePlan(
            plugin=spec.source.plugin, api=spec.source.api, options=spec.source.options, each=self.each,
            each_columns=each_columns(spec, target), format=self.format,
            format_options=self.format_options, flat=self.flat, records=self.records, compression=compression, members=members,
            want=Want(self.records.path, leaves, others, bool(lines)), beside=tuple(map(written, self.scope.structure.body_paths)),
            from_data=from_data(self.each),
        )  # fmt: skip
        schedule = spec.schedule
        return Plan(
            feed=spec.name, spec_file="", spec_hash=_hash(spec), position_hash=_position_hash(source, cursor), source=source,
            query=query, target=target, cursor=cursor,
            schedule=None if schedule is None else SchedulePlan(stream=True) if isinstance(schedule, str) else SchedulePlan(
                cron=schedule.cron, timezone=schedule.timezone, every_s=float(schedule.every or 0)),
            archive=archive_plan(spec.archive), ddl=spec.target.ddl, max_refused=spec.max_refused, enabled=spec.enabled, drift=_drift(spec.drift),
        )  # fmt: skip


def compile_feed(
    spec: Spec,
    *,
    formats: Mapping[str, type],
    transformers: Mapping[str, type] | None = None,
    vars: Mapping[str, str] | None = None,
) -> Plan:
    """The Plan of a feed; ``formats`` and ``transformers`` are the registered classes by name, ``vars`` the installation's.

    Raises:
        CompileError: with every problem found.
    """
    return _Compiler(spec, formats, transformers or {}, vars or {}).plan()


def _format(spec: Spec) -> tuple[str, dict[str, Any]]:
    written = spec.source.format
    if isinstance(written, str):
        return written, {}
    name, options = next(iter(written.items()), ("json", {}))
    return name, dict(options or {})


def _drift(words: OnDrift | DriftSpec) -> DriftPlan:
    if isinstance(words, DriftSpec):
        return DriftPlan(new=words.new, missing=words.missing, retyped=words.retyped)
    return DriftPlan(new=words, missing=words, retyped=words)


def _hash(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, enc_hook=encode_text, order="deterministic")).hexdigest()


def _position_hash(source: SourcePlan, cursor: CursorPlan | None) -> str:
    """Over what gives a stored position its meaning. Names of `each`, not its values nor where they come from: a new value is a
    new partition. But what `with` adds is asked for too, and is in no partition's name."""
    options = {name: value for name, value in source.options.items() if name not in _NOT_POSITION}
    return _hash([
        source.plugin, source.api, options, sorted(source.each), source.records, source.format, source.format_options,
        [cursor.name, cursor.kind] if cursor else None, *([source.members] if source.compression == "zip" else []),
        *described(source.each),
    ])  # fmt: skip
