"""Files that change under a running engine: when a change counts, and what it means for the plans in effect."""

import os

import msgspec
import pytest

from nexus_engine.service.reload import Feeds, Watcher
from nexus_engine.spec.problems import Problem


@pytest.fixture
def root(tmp_path):
    for folder in ("sources.d", "apis.d", "sinks.d", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "nexus.yaml").write_text("vars: {}\n")
    (tmp_path / "sources.d" / "a.yaml").write_text("name: a\n")
    return tmp_path


def polls(watcher, times=3):
    return [sorted(path.name for path in watcher.poll()) for _ in range(times)]


def test_nothing_changed(root):
    assert polls(Watcher(root)) == [[], [], []]


@pytest.mark.parametrize("name", ["sources.d/a.yaml", "sources.d/b.yaml", "apis.d/x.yml", "sinks.d/y.yaml", "nexus.yaml"])
def test_a_change_counts_after_one_quiet_poll_and_once(root, name):
    watcher = Watcher(root)
    (root / name).write_text("name: changed\n")
    assert polls(watcher) == [[], [name.split("/")[-1]], []]


@pytest.mark.parametrize("name", [
    "sources.d/.a.yaml.swp", "sources.d/a.yaml~", "sources.d/#a.yaml#", "sources.d/.#a.yaml", "sources.d/4913", "sources.d/a.test.yaml",
    "data/x.yaml", "sources.d/notes.md",
])
def test_other_files_do_not_count(root, name):
    watcher = Watcher(root)
    (root / name).write_text("x")
    assert polls(watcher) == [[], [], []]


def test_a_file_that_is_still_being_written_is_not_read(root):
    watcher, path = Watcher(root), root / "sources.d" / "b.yaml"
    for text in ("na", "name: b\nsou", "name: b\nsource: {}\n"):
        path.write_text(text)
        assert not watcher.poll()
    assert [p.name for p in watcher.poll()] == ["b.yaml"]


def test_settled_reads_at_once(root):
    watcher = Watcher(root)
    (root / "sources.d" / "a.yaml").write_text("name: other\n")
    assert [p.name for p in watcher.poll(settled=True)] == ["a.yaml"]


def test_same_size_and_time_but_another_file_is_a_change(root):
    watcher, path = Watcher(root), root / "sources.d" / "a.yaml"
    before = path.stat()
    other = root / "other"
    other.write_text("name: b\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert polls(watcher, 2) == [[], ["a.yaml"]]


def test_replaced_by_an_editor_is_one_change(root):
    watcher, path = Watcher(root), root / "sources.d" / "a.yaml"
    path.rename(root / "sources.d" / "a.yaml~")
    assert not watcher.poll()
    path.write_text("name: a\nenabled: false\n")
    assert polls(watcher, 3) == [[], ["a.yaml"], []]


def test_deleted(root):
    watcher = Watcher(root)
    (root / "sources.d" / "a.yaml").unlink()
    assert polls(watcher) == [[], ["a.yaml"], []]


@pytest.fixture
def plan(make_plan):
    def make(root, name, *, position_hash="", spec_hash="1", table="t"):
        file = str(root / "sources.d" / f"{name}.yaml")
        return make_plan(name, spec_file=file, spec_hash=spec_hash, position_hash=position_hash or f"h-{name}", table=table)

    return make


def problem(root, name, message="unknown key"):
    return Problem(file=str(root / "sources.d" / f"{name}.yaml"), line=3, col=1, path="x", code="unknown-key", message=message)


def changes(events):
    return sorted((event.change, event.feed) for event in events)


@pytest.fixture
def feeds(root, plan):
    made = Feeds()
    made.take({"a": plan(root, "a")}, [])
    return made


def test_added_changed_removed(root, feeds, plan):
    assert changes(feeds.take({"a": plan(root, "a"), "b": plan(root, "b")}, [])) == [("added", "b")]
    changed = plan(root, "a", spec_hash="2")
    assert changes(feeds.take({"a": changed, "b": plan(root, "b")}, [])) == [("changed", "a")]
    assert feeds.plans["a"] is changed
    (root / "sources.d" / "a.yaml").unlink()
    assert changes(feeds.take({"b": plan(root, "b")}, [])) == [("removed", "a")]
    assert list(feeds.plans) == ["b"]


def test_a_broken_file_is_told_once_and_its_old_plan_stays(root, feeds, plan):
    [event] = feeds.take({}, [problem(root, "a")])
    assert (event.change, event.feed) == ("broken", "a")
    assert "a.yaml:3:1" in event.message
    assert "goes on with the version before" in event.message
    assert feeds.take({}, [problem(root, "a")]) == []
    assert changes(feeds.take({}, [problem(root, "a", "another mistake")])) == [("broken", "a")]
    assert feeds.plans["a"].feed == "a"
    assert feeds.take({"a": plan(root, "a")}, []) == []
    assert changes(feeds.take({}, [problem(root, "a")])) == [("broken", "a")]


def test_a_new_file_that_is_broken_has_no_plan(root, feeds, plan):
    [event] = feeds.take({"a": plan(root, "a")}, [problem(root, "b")])
    assert "nothing of this file is in effect" in event.message
    assert list(feeds.plans) == ["a"]


def test_a_broken_api_file_stops_no_feed(root, feeds, plan):
    broken = msgspec.structs.replace(problem(root, "x"), file=str(root / "apis.d" / "x.yaml"))
    assert changes(feeds.take({}, [broken])) == [("broken", "x")]
    assert list(feeds.plans) == ["a"]


def test_a_renamed_feed_is_recognised(root, feeds, plan):
    (root / "sources.d" / "a.yaml").rename(root / "sources.d" / "z.yaml")
    [event] = feeds.take({"z": plan(root, "z", position_hash="h-a")}, [])
    assert (event.change, event.feed) == ("renamed", "z")
    assert "nexus-engine state rename a z" in event.message


@pytest.mark.parametrize("other", [{"position_hash": "h-other"}, {"position_hash": "h-a", "table": "u"}])
def test_another_source_or_table_is_another_feed(root, feeds, plan, other):
    (root / "sources.d" / "a.yaml").unlink()
    assert changes(feeds.take({"z": plan(root, "z", **other)}, [])) == [("added", "z"), ("removed", "a")]
