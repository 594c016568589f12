"""Drift: fields that come, go, or change their type. Judged against the shape that a feed's records have had.

::

    batch -> its shape -> new and retyped, before the batch lands -> the run's shape -> missing, at the run's end

The first run learns the shape. Every intent of it carries what was learned so far, so the shape is never behind the rows that landed;
what a crash loses is the count of how often a known name was seen, which the next run goes on counting, and the judgement of
what is missing, which the next run makes anew.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from nexus_engine.compile.plan import DriftPlan, Plan
from nexus_engine.contract.records import parse_path
from nexus_engine.deliver.shape import ANY, Sample, Shape, joined, leaves_of, steps_of
from nexus_engine.errors import FieldsDrifted
from nexus_engine.spec.spelling import nearest
from nexus_engine.state.records import Drift, DriftKind, KnownShape

CHANCE = 0.001  # a name is missing where it would be absent by chance less often than this
TOLD = 20  # warnings of one run; all of them are recorded
NAMED = 5  # fields in one error
_DONE = {"new": "nothing of the batch landed", "retyped": "nothing of the batch landed", "missing": "the batches before are kept; this one did not land"}


class Watch:
    """The drift of one run. Used in the loop's thread.

    Args:
        known: what the store has; None: nothing yet.
        keeps: what is seen is recorded and learned from. A run over old records (a backfill, a replay) only tells which names
            of the spec stand nowhere.
        open_before: what earlier runs found and is open.
    """

    def __init__(
        self, plan: Plan, known: KnownShape | None, redact: Callable[[str], str], *, keeps: bool = True, open_before: Sequence[Drift] = ()
    ) -> None:
        self.plan = plan
        self.keeps = keeps
        self.seen = Shape()
        current = known is not None and known.meaning == plan.position_hash
        self.learning = not current or not known.learned  # type: ignore[union-attr]
        self.known = Shape.of(known.shape) if current and keeps else Shape()  # type: ignore[union-attr]
        self.absent = set(known.absent) if current else set()  # type: ignore[union-attr]
        self.redact = redact
        self._read = leaves_of(plan.source)
        self._told: set[tuple[str, str]] = set()
        self._open = open_before
        self._found: set[tuple[str, str]] = set()  # kind and place of what is new or retyped in this run
        self._whole = False

    @property
    def holds(self) -> bool:
        """A missing field stops the feed: the last batch waits until all of the run was seen."""
        return self.keeps and self.plan.drift.missing == "fail"

    def new(self, batch: Shape, *, sound: bool = True) -> list[Drift]:
        """New and retyped fields of a batch. What they are judged against does not change with them. ``sound``: no page of the batch
        was refused; else nothing is learned from it."""
        if self.learning or not self.keeps:
            if sound:
                self.seen.add(batch)
            return []
        found = list(self._changed(self.known, batch, ""))
        self._found.update((drift.kind, drift.path) for drift in found)
        self.seen.add(batch)
        return found

    def missing(self) -> list[Drift]:
        """Fields that no record of the run has. Asked only once all of it was seen and nothing of it failed."""
        self._whole = True
        found = {drift.path: drift for drift in self._unread()}
        if not self.learning and self.keeps:
            found = {**{drift.path: drift for drift in self._gone(self.known, self.seen, "")}, **found}
        return [found[path] for path in sorted(found)]

    def back(self) -> list[Drift]:
        """Open findings of earlier runs that this one changes: those that hold no more have the state `back`, others more records without
        them. One record is enough for a missing field to be back. What was new or retyped is as before once all of a run was seen and
        records without it are no coincidence (:data:`CHANCE`)."""
        if not self.keeps:
            return []
        there = set(_places(self.seen, ""))
        changed = []
        for drift in self._open:
            if drift.kind == "missing":
                changed += [msgspec.structs.replace(drift, state="back")] if drift.path in there else []
            elif records := self._without(drift):
                quiet = drift.shape.get("quiet", 0) + records
                closed = _absent(drift.shape.get("share", 1.0), quiet)
                changed.append(msgspec.structs.replace(drift, state="back" if closed else "open", shape={**drift.shape, "quiet": quiet}))
        return changed

    def _without(self, drift: Drift) -> int:
        """How many times what was new or retyped could have stood in this run, and did not. 0: it did, or not all was seen."""
        if self.learning or not self._whole or (drift.kind, drift.path) in self._found:
            return 0
        at = self.seen
        for step in steps_of(drift.path):
            below = at.items if isinstance(step, int) else at.find(step)
            if below is None:
                return 0 if isinstance(step, int) or step == ANY or drift.kind == "retyped" else at.objects
            at = below
        return at.seen if drift.kind == "retyped" and at.kinds else 0

    def refuse(self, found: Iterable[Drift], did: str = "") -> None:
        """Raises:
        FieldsDrifted: drift of a kind that stops the feed is among them.
        """
        bad = [drift for drift in found if self.keeps and getattr(self.plan.drift, drift.kind) == "fail"]
        if bad:
            first = bad[0]
            page = f"page {first.page} of {first.url}, " if first.page else ""
            one = f" (for one field only, add --field {shlex.quote(first.path)})" if len(bad) > 1 else ""
            raise FieldsDrifted(
                summary(bad), where=f"{page}feed {self.plan.feed}, {self.plan.spec_file}", did=did or f"{_DONE[first.kind]}; the position is kept",
                do=f"if the change is right, mend the feed where it needs it, then: nexus-engine drift {self.plan.feed} --accept{one}; "
                f"to be warned instead, write `drift: {_warned(self.plan.drift, {drift.kind for drift in bad})}`",
            )

    def warnings(self, found: Iterable[Drift]) -> list[str]:
        """One sentence for each that is to be told and was not in this run."""
        told = []
        telling = ("warn",) if self.keeps else ("warn", "fail")  # old records stop nothing
        for drift in found:
            if getattr(self.plan.drift, drift.kind) in telling and (drift.kind, drift.path) not in self._told:
                self._told.add((drift.kind, drift.path))
                if len(self._told) <= TOLD:
                    told.append(sentence(drift))
                elif len(self._told) == TOLD + 1:
                    told.append(f"more fields have changed: see nexus-engine drift {self.plan.feed}")
        return told

    def learned(self) -> KnownShape | None:
        """What a batch's intent carries: of a run that learns, the shape so far."""
        return self._kept(learned=False) if self.learning and self.keeps and self.seen.seen else None

    def ended(self) -> KnownShape | None:
        """What is kept at the run's end: what was learned, or the old shape with its counts brought up to date."""
        if not self.keeps or not self.seen.seen:
            return None
        self.absent -= set(_places(self.seen, ""))
        if self.learning:
            return self._kept(learned=True)
        _count(self.known, self.seen)
        return self._kept(learned=True)

    def _kept(self, *, learned: bool) -> KnownShape:
        whole = Shape.of(self.known.data())
        if self.learning:
            whole.add(self.seen)
        if learned:
            whole.settle()
        return KnownShape(meaning=self.plan.position_hash, learned=learned, shape=whole.data(), absent=tuple(sorted(self.absent)))

    def _changed(self, before: Shape, now: Shape, path: str) -> Iterator[Drift]:
        fresh = {kind: sample for kind, sample in now.kinds.items() if kind not in before.kinds}
        if before.kinds and fresh:
            yield self._drift("retyped", path or ".", before, fresh, now, 1 / now.seen if len(fresh) < len(now.kinds) else 1.0)
        _align(before, now)
        if before.objects:
            for name, below in now.members.items():
                place = joined(path, name)
                if name in before.members:
                    yield from self._changed(before.members[name], below, place)
                elif name not in self._leaves(path):
                    yield self._drift("new", place, Shape(), below.kinds, below, min(1.0, below.seen / now.objects))
        if before.items is not None and now.items is not None:
            yield from self._changed(before.items, now.items, f"{path}[]")

    def _gone(self, before: Shape, now: Shape, path: str) -> Iterator[Drift]:
        """What no record of the run has and some should have; of a fan-out, also: and some of the partitions that had records. A field that
        only one of them has is not missing where that one had nothing new."""
        _align(before, now)
        for name, below in before.members.items():
            place = joined(path, name)
            if name in now.members:
                yield from self._gone(below, now.members[name], place)
            elif now.objects and before.objects and name != ANY and not self._optional(place):
                alike = not (self.plan.source.each and before.held) or _absent(below.parts / before.held, now.held)
                if alike and _absent(below.seen / before.objects, now.objects):
                    yield self._drift("missing", place, below, {}, below)
        if before.items is not None and now.items is not None:
            yield from self._gone(before.items, now.items, f"{path}[]")

    def _unread(self) -> Iterator[Drift]:
        """Names of the spec that stand nowhere, and never did: they may be misspelt."""
        for leaf in self._read:
            at, place = self.seen, ""
            for step in leaf:
                if (isinstance(step, int) and at.items is None) or (isinstance(step, str) and not at.objects):
                    break  # nothing that could have the name
                place = joined(place, "[]" if isinstance(step, int) else step)
                below = at.items if isinstance(step, int) else at.find(step)
                if below is None and at.keyed:
                    break
                if below is None:
                    if not (place in self.absent or self._optional(place) or _known(self.known, place)):
                        near = nearest(str(step), at.members)
                        yield Drift(kind="missing", path=place, near=near, read=True)
                    break
                at = below

    def _drift(self, kind: DriftKind, place: str, before: Shape, now: dict[str, Sample], below: Shape, share: float = 0.0) -> Drift:
        """``share``: of the places where it could stand, how many had what is new or retyped; 1 / all of them when only that is known."""
        sample = next(iter(now.values()), Sample())
        return Drift(
            kind=kind, path=self.redact(place), was=" or ".join(sorted(before.kinds)) or ("null" if kind == "missing" else ""), now=" or ".join(sorted(now)) or ("null" if kind == "new" else ""),
            sample=sample.text, page=sample.page, url=sample.url, read=self._reads(place),
            shape=below.data() | ({"share": share} if share else {}),
        )  # fmt: skip

    def _leaves(self, path: str) -> set[str]:
        """The names that fields read of a record itself: one that the spec names is no surprise."""
        return set() if path else {str(leaf[0]) for leaf in self._read if leaf}

    def _reads(self, place: str) -> bool:
        steps = tuple(steps_of(place))
        return any(leaf[: len(steps)] == steps for leaf in self._read)

    def _optional(self, place: str) -> bool:
        return any(parse_path(text) == tuple(steps_of(place)) for text in self.plan.source.records.optional)


def sentence(drift: Drift) -> str:
    """What happened to a field, for people."""
    if drift.kind == "new":
        return f"`{drift.path}` is new: {drift.now}" + (f", like {drift.sample}" if drift.sample else "")
    if drift.kind == "retyped":
        return f"`{drift.path}` was {drift.was} and is {drift.now}, like {drift.sample}"
    if drift.was:
        return f"`{drift.path}`, which was {drift.was}, stands in none of the records looked at" + (", so its field is null" if drift.read else "")
    hint = f"; did you mean `{drift.near}`?" if drift.near else ""
    return f"`{drift.path}` stands in none of the records looked at, so its field is null{hint}"


def summary(bad: Sequence[Drift]) -> str:
    """What happened to these fields: one in a sentence, several by name and kind."""
    if len(bad) == 1:
        return sentence(bad[0])
    texts = [f"`{drift.path}` {drift.kind}{_differs(drift)}" for drift in bad[:NAMED]]
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return f"{len(bad)} fields have changed: {'; '.join(texts)}{more}"


def _differs(drift: Drift) -> str:
    like = f", like {drift.sample}" if drift.sample else ""
    if drift.kind == "missing":
        return f" (was {drift.was})" if drift.was else f" (did you mean `{drift.near}`?)" if drift.near else ""
    return f" ({drift.was} before, {drift.now} now{like})" if drift.kind == "retyped" else f" ({drift.now}{like})"


def _warned(words: DriftPlan, kinds: set[DriftKind]) -> str:
    """What a spec says under `drift` when these kinds are told and the others stay as they are."""
    now = {**msgspec.to_builtins(words), **dict.fromkeys(kinds, "warn")}
    return "warn" if set(now.values()) == {"warn"} else "{" + ", ".join(f"{kind}: {word}" for kind, word in now.items()) + "}"


def accept(known: KnownShape, found: Iterable[Drift]) -> KnownShape:
    """The shape with these changes taken as right."""
    shape, absent = Shape.of(known.shape), set(known.absent)
    for drift in found:
        steps = list(steps_of(drift.path))
        at = shape
        for step in steps[:-1]:
            at = _below(at, step)
        if not steps or drift.kind == "retyped":
            place = _below(at, steps[-1]) if steps else at
            for kind in drift.now.split(" or "):
                place.kinds.setdefault(kind, Sample())
            place.add(_without_counts(Shape.of(drift.shape)))
        elif drift.kind == "new":
            _below(at, steps[-1]).add(Shape.of(drift.shape))
        else:
            if isinstance(steps[-1], str):
                at.members.pop(steps[-1], None)
            absent.add(drift.path)
    return msgspec.structs.replace(known, shape=shape.data(), absent=tuple(sorted(absent)))


def _without_counts(shape: Shape) -> Shape:
    shape.seen = shape.objects = shape.parts = shape.held = 0
    return shape


def _below(at: Shape, step: str | int) -> Shape:
    if isinstance(step, int):
        at.items = at.items or Shape()
        return at.items
    return at.members.setdefault(step, Shape())


def _absent(share: float, times: int) -> bool:
    """What stands in this share of cases, and in none of ``times``, is gone: by chance it would be so too rarely."""
    return (1 - min(1.0, share)) ** times <= CHANCE


def _known(shape: Shape, place: str) -> bool:
    at: Shape | None = shape
    for step in steps_of(place):
        if at is None:
            return False
        at = at.items if isinstance(step, int) else at.find(step)
    return at is not None


def _align(one: Shape, other: Shape) -> None:
    """Members that are keys on one side are keys on both."""
    if one.keyed != other.keyed and one.members and other.members:
        (other if one.keyed else one).collapse()


def _places(shape: Shape, path: str) -> Iterator[str]:
    for name, below in shape.members.items():
        place = joined(path, name)
        yield place
        yield from _places(below, place)
    if shape.items is not None:
        yield from _places(shape.items, f"{path}[]")


def _count(known: Shape, seen: Shape) -> None:
    """Add how often known places were seen; where only nulls, or nothing, had been seen before, learn what there is."""
    if not known.kinds:
        known.add(seen)
        return
    known.count(seen)
    for name, below in known.members.items():
        if name in seen.members:
            _count(below, seen.members[name])
    if seen.items is not None:
        if known.items is None:
            known.items = Shape()
        _count(known.items, seen.items)
