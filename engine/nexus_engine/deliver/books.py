"""The books of a batch: its rows per window, what became of them, and the records that were refused."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from nexus_engine.compile.plan import Plan
from nexus_engine.compile.raw import envelope
from nexus_engine.deliver.identity import identity
from nexus_engine.deliver.report import RunReport, WindowBooks
from nexus_engine.deliver.worked import PageStats, Worked
from nexus_engine.state.records import MAX_RAW_BYTES, Quarantined, WindowCounts


def books_of(worked: Worked) -> list[WindowBooks]:
    """The batch's rows per window, rows to land counted as in flight."""
    refused: dict[int, int] = {}
    for refusal in worked.refusals:
        refused[refusal.p] = refused.get(refusal.p, 0) + 1
    books = [
        WindowBooks(partition=unit.partition.key, window_start=unit.window.start, window_end=unit.window.end)
        for unit in worked.stage.units
    ]
    for staged in worked.stage.payloads:
        book, stats, count = books[staged.unit], worked.stats.get(staged.p, PageStats()), worked.counts.get(staged.p, {})
        bad = refused.get(staged.p, 0)
        book.pages += 1
        book.total = staged.payload.total if staged.payload.total is not None else book.total
        book.complete = book.complete or staged.payload.last
        book.read += stats.ok + stats.filtered + bad
        book.filtered += stats.filtered
        book.quarantined += bad
        book.new += count.get("new", 0)
        book.revised += count.get("revised", 0)
        book.unchanged += count.get("unchanged", 0)
        book.superseded += count.get("superseded", 0)
    for book in books:
        book.in_flight = book.new + book.revised
    return books


def counts_of(books: list[WindowBooks]) -> tuple[WindowCounts, ...]:
    """The books as the state store keeps them."""
    names = ("read", "new", "revised", "unchanged", "superseded", "filtered", "quarantined", "in_flight", "pages")
    return tuple(
        WindowCounts(
            partition=book.partition, window_start=book.window_start, window_end=book.window_end, complete=book.complete,
            counts={name: getattr(book, name) for name in names} | ({"total": book.total} if book.total is not None else {}),
        )
        for book in books
    )


def enter(report: RunReport, books: list[WindowBooks]) -> None:
    """Add a batch's books to the run's, window by window."""
    known = {(book.partition, book.window_start, book.window_end): book for book in report.books}
    for book in books:
        report.add(book)
        old = known.get((book.partition, book.window_start, book.window_end))
        if old is None:
            report.books.append(book)
        else:
            old.add(book)
            old.pages += book.pages
            old.complete = old.complete or book.complete
            old.total = book.total if book.total is not None else old.total
            old.arrived = book.arrived if book.arrived is not None else old.arrived


def landed(report: RunReport, books: list[WindowBooks]) -> None:
    """What was in flight is in the table."""
    windows = {(book.partition, book.window_start, book.window_end): book for book in report.books}
    for book in books:
        rows = book.new + book.revised
        for entry in (report, windows[book.partition, book.window_start, book.window_end]):
            entry.in_flight -= rows
            entry.landed += rows


def refused_of(worked: Worked, plan: Plan, redact: Callable[[str], str]) -> tuple[Quarantined, ...]:
    """The refused records as they came, but for secrets that a source echoes, each with what fields read beside it."""
    found = []
    beside: dict[int, str] = {}
    for refusal in worked.refusals:
        staged = worked.stage.at(refusal.p)
        unit = worked.stage.units[staged.unit]
        if plan.source.beside and staged.p not in beside:
            beside[staged.p] = envelope(worked.stage.body(staged), plan.source.beside).decode("utf-8", "replace")
        raw, around = redact(refusal.raw), beside.get(staged.p, "")
        shown = redact(around)
        record = Quarantined(
            partition=unit.partition.key, record=refusal.record, raw=raw, reasons=tuple(map(redact, refusal.reasons)),
            page=staged.payload.page, url=staged.payload.url, window_start=unit.window.start, window_end=unit.window.end,
            envelope=shown if len(shown) <= MAX_RAW_BYTES else "",
            altered=(raw, shown) != (refusal.raw, around) or "\ufffd" in raw + around,
        )  # fmt: skip
        found.append(replace(record, identity=identity(plan, record)))
    return tuple(found)
