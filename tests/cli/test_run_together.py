"""`run a b --once`: feeds side by side within `concurrency`, each behind those whose tables it reads; reports in the order asked for."""

import json
import subprocess
import threading

import pytest
from cli_projects import argv, as_json, command

from nexus_engine.compile.feeds import load_feeds
from nexus_engine.contract.registry import build_registry
from nexus_engine.errors import OutOfSpace
from nexus_engine.project.project import Project
from nexus_engine.service.together import run_together

READS = """\
name: {name}
source: {{endpoint: "{url}/{name}/{{{{ each.x }}}}", records: rows, each: {{x: {{from: t.{other}.id}}}}}}
fields: {{id: UInt32, v: Float64}}
target: {{table: t.{name}, key: [id]}}
"""


def plans_of(root, *names):
    registry = build_registry()
    loaded = load_feeds(Project.load(root, registry=registry), registry)
    assert loaded.problems == []
    return [loaded.plans[name] for name in names]


def test_feeds_are_asked_at_the_same_time(project, api):
    """Every answer is held back until all three feeds have asked: one after the other, that would never be."""
    for name in "abc":
        project.feed(name)
    api.hold.clear()
    with subprocess.Popen(argv("run", "c", "a", "b", "--once", "--json"), cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        while len(api.asked) < 3:
            assert api.arrived.wait(60), api.asked
            api.arrived.clear()
        api.hold.set()
        out, told = running.communicate(timeout=60)
    runs = json.loads(out)["runs"]
    assert [(run["feed"], run["status"], run["landed"]) for run in runs] == [("c", "ok", 5), ("a", "ok", 5), ("b", "ok", 5)], told
    assert sorted(api.asked) == ["/a", "/b", "/c"]


def test_no_more_than_concurrency_and_a_recording_one_after_the_other(project):
    for name in "abcde":
        project.feed(name)
    now, most, lock = 0, 0, threading.Lock()

    def run(plan):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return plan.feed

    plans = plans_of(project.root, *"edcba")
    for slots in (1, 2, 4):
        most = 0
        assert run_together(plans, run, slots) == list("edcba")
        assert most <= slots


@pytest.mark.capability("Fan-out: a feed runs behind the one whose table it reads", spec="nexus-engine run prices companies --once")
def test_a_feed_waits_for_those_whose_tables_it_reads(project, api):
    project.feed("companies")
    (project.root / "sources.d" / "prices.yaml").write_text(READS.format(name="prices", other="companies", url=api.url))
    done = command(project.root, "run", "prices", "companies", "--once", "--json")
    assert [(run["feed"], run["partitions"]) for run in as_json(done)["runs"]] == [("prices", 5), ("companies", 1)], done.stderr
    assert api.asked[0] == "/companies"


def test_feeds_that_read_each_others_tables_end_all_the_same(project, api):
    for name, other in (("a", "b"), ("b", "a")):
        (project.root / "sources.d" / f"{name}.yaml").write_text(READS.format(name=name, other=other, url=api.url))
    assert run_together(plans_of(project.root, "a", "b"), lambda plan: plan.feed, 4) == ["a", "b"]


def test_when_the_engine_has_to_stop_no_other_feed_begins(project):
    for name in "abc":
        project.feed(name)
    begun = []

    def run(plan):
        begun.append(plan.feed)
        raise OutOfSpace("the disk is full")

    with pytest.raises(OutOfSpace):
        run_together(plans_of(project.root, *"abc"), run, 1)
    assert begun == ["a"]
    begun.clear()
    with pytest.raises(OutOfSpace):
        run_together(plans_of(project.root, *"abc"), run, 2)
    assert sorted(begun) in (["a"], ["a", "b"])
