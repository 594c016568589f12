"""What a batch is worked with, and what comes of it: plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_engine.clickhouse.engine import Engine
from nexus_engine.compile.layout import Layout, layout_of
from nexus_engine.compile.plan import Plan
from nexus_engine.contract.sink import Sink
from nexus_engine.deliver.shape import Shape
from nexus_engine.deliver.side import Side, SideTables
from nexus_engine.deliver.stage import Stage
from nexus_engine.errors import StopFeed


@dataclass(frozen=True)
class Refusal:
    """A record that does not land: its raw text, where it came from, and every reason ``<field>: <code>: <text>``."""

    p: int
    record: int
    raw: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class PageStats:
    """Counts of one payload; ``cursor_max`` is the greatest cursor value among its rows, as text. ``first_row`` and ``last_row``:
    the ``_nexus_row`` of its good rows, where answers are kept."""

    read: int = 0
    ok: int = 0
    filtered: int = 0
    cursor_max: str | None = None
    first_row: int | None = None
    last_row: int | None = None


@dataclass(frozen=True)
class Guilt:
    """The first page of a window that must not land, by its payload number, and why."""

    p: int
    error: StopFeed


@dataclass(frozen=True)
class Mapped:
    """Where mapped rows are: an Arrow file with all of them, or a side table with the good ones."""

    relation: str  # as `Query.mapped` gives it
    path: Path | None = None
    side: Side | None = None
    refused: Mapping[int, list[int]] = field(default_factory=dict)  # beside a side table: by payload, the numbers of its refused records


@dataclass
class Worked:
    """A batch that is ready to become an intent. ``stage`` is what was kept: pages after a guilty one are cut off, and
    ``failures`` says, by unit of the stage, why."""

    stage: Stage
    stats: dict[int, PageStats]
    refusals: list[Refusal]
    failures: dict[int, Guilt]
    warnings: list[str]
    counts: dict[int, dict[str, int]]  # p -> new, revised, unchanged, superseded
    mapped: Mapped
    rows: int  # to land
    spool: Path | None  # Arrow file with the rows, not yet durable; None where they are in a side table, and where there are none
    shape: Shape  # of a sample of its records


@dataclass
class Layouts:
    """Whether the lines of a run's large bodies are all laid out alike, as far as that is known. Shared by its batches."""

    alike: bool = True

    def of(self, stage: Stage) -> Layout | None:
        """What the first line of a stage has, where others may have it too."""
        return layout_of(stage.first_line().rstrip(b"\n")) if self.alike else None


@dataclass
class Bench:
    """What a batch is worked with. ``run`` fills the query's run values; ``folder`` is ``raw/``. ``ages`` of what is parsed again:
    the lines of an age file (``compile.compare.age_file``)."""

    plan: Plan
    engine: Engine
    sink: Sink
    folder: Path
    run: Mapping[str, str]
    goes: str = ""  # SQL of rows in the table that will be removed: the compare does not see them
    ages: Callable[[Stage], Iterable[Mapping[str, object]]] | None = None
    redact: Callable[[str], str] = str
    sides: SideTables | None = None  # where rows of lines may go
    layouts: Layouts = field(default_factory=Layouts)
    files: list[Path] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """A scratch file that :meth:`clean` removes."""
        path = self.folder / name
        self.files.append(path)
        return path

    def clean(self) -> None:
        for path in self.files:
            path.unlink(missing_ok=True)
        self.files.clear()
        if self.sides is not None:
            self.sides.clean()
