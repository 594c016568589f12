"""A record that is refused again, through a lookback or by another run, has one entry in quarantine; the books count each refusal."""

import json

import pytest
from test_replay import FEED, World, row

from nexus_engine.deliver.replay import Replay

LOOKBACK = FEED.replace("initial: 2024-01-01", "initial: 2024-01-01, lookback: 20d")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def feed(world, text=LOOKBACK, *, window=False, most=255):
    text = text if window else text.replace("  since: {{type: Date, from: window.start}}\n", "")
    text = text.format(file=world.root / "pages.json", records="rows", most=most, more="")
    (world.root / "sources.d" / "prices.yaml").write_text(text)


def days(last, bad=700):
    return {"rows": [*(row(day, 1) for day in range(1, last + 1)), row(30, bad)]}


def runs(world, *bodies):
    """(run id, page, record, times) of each entry after the runs, each of which refused one record."""
    reports = []
    for body in bodies:
        world.pages(body)
        reports.append(world.run())
    assert [report.quarantined for report in reports] == [1] * len(bodies)
    return reports, [(q.run_id, q.page, q.record, q.times) for q in world.quarantine]


@pytest.mark.capability("Quarantine replay: a record refused again has one entry", spec="nexus-engine quarantine list")
def test_one_entry_and_it_leaves_once(world):
    feed(world)
    reports, entries = runs(world, days(5), days(12), days(25))
    assert entries == [(reports[-1].run_id, 1, 25, 3)]
    [entry] = world.quarantine
    assert entry.window_start == "2024-01-01" and entry.first_at < entry.at
    feed(world, most=65535)
    report = world.run(Replay().job)
    assert (report.read, report.landed, world.quarantine) == (1, 1, [])
    assert len([found for found in world.rows if found[-1] == 700]) == 1


def test_another_text_reason_or_partition_is_another_record(world):
    feed(world)
    _, entries = runs(world, days(5), days(5, 701))
    assert [times for *_, times in entries] == [1, 1]
    feed(world, LOOKBACK.replace("expect: between, field: v, max: {most}", "expect: in_set, field: v, values: [1]"))
    _, entries = runs(world, days(5, 701))
    assert len(entries) == 3
    pages = {"symbol=A%3BA": [days(5)], "symbol=BBB": [days(5)]}
    (world.root / "pages.json").write_text(json.dumps(pages))
    world.run()
    assert sorted((q.partition, q.times) for q in world.quarantine) == [("symbol=A%3BA", 1)] * 4 + [("symbol=BBB", 1)]


def test_windows_are_told_apart_where_a_column_reads_them(world):
    feed(world, window=True)
    _, entries = runs(world, days(5), days(25))
    assert [times for *_, times in entries] == [2]  # both begin at `initial`, and end with the day
    world.pages({"rows": [row(28, 1), row(29, 1)]})
    world.run()
    _, entries = runs(world, days(27))
    assert [times for *_, times in entries] == [1, 2]


def test_without_a_key_each_record_is_a_row_of_its_own(world):
    feed(world, FEED.replace(", key: [symbol, day]", ""))
    _, entries = runs(world, days(5), days(12))
    assert [times for *_, times in entries] == [1, 1]
    feed(world, FEED.replace(", key: [symbol, day]", ""), most=65535)
    assert world.run(Replay().job).landed == 2
