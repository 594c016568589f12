"""Every limit of docs/security.md has a name, a default and a test that meets it."""

from __future__ import annotations

import ast

from doc_pages import ROOT, tables

TESTS = ROOT / "tests"
MET = {
    "`max_body`": "host/test_project_limits.py::test_each_limit_is_met",
    "`max_decompressed`": "host/test_project_limits.py::test_each_limit_is_met",
    "`max_ratio`": "host/test_project_limits.py::test_each_limit_is_met",
    "`max_redirects`": "host/test_project_limits.py::test_each_limit_is_met",
    "`batch_bytes`": "delivery/test_limits_of_a_run.py::test_a_batch_ends_with_the_page_that_fills_it",
    "`max_partitions`": "delivery/test_fan_out.py::test_more_partitions_than_the_limit_are_an_error",
    "`attempts`": "host/test_transport_faults.py::test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap",
    "`base`": "host/test_transport_faults.py::test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap",
    "`max_wait`": "host/test_transport_faults.py::test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap",
    "`timeout`": "host/test_transport_faults.py::test_a_server_that_never_answers_meets_the_deadline",
    "`max_pages`": "http_source/test_page_kinds.py::test_circles_and_missing_words_stop_the_feed",
    "`max_refused`": "delivery/test_loop.py::test_a_page_that_is_mostly_refused_stops_its_partition_in_front_of_it",
    "bytes of a spec file": "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback",
    "levels of a spec file": "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback",
    "values of a spec file": "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback",
    "characters of a template": "spec/test_templates.py::test_output_is_bounded",
    "bytes of headers": "host/test_transport_faults.py::test_each_limit_stops_the_feed_without_another_try",
    "seconds to connect": "host/test_transport_faults.py::test_a_host_that_answers_no_connection_is_given_up_long_before_the_timeout",
    "seconds once the engine stops": "host/test_transport_faults.py::test_stopping_ends_a_wait_at_once_and_a_request_in_flight_soon",
    "seconds of a drain": "service/test_drain.py::test_a_run_that_outlives_the_drain_is_cut_off_and_continued",
    "bytes fetched ahead": "http_source/test_pages_ahead.py::test_what_waits_is_bounded_in_bytes",
    "reconnects of a window": "delivery/test_limits_of_a_run.py::test_a_source_reconnects_a_few_times_and_then_stops",
    "levels of XML": "formats/test_xml_csv_json.py::test_xml_that_is_refused",
    "bytes of a quarantined record": "state/test_store.py::test_quarantine_keeps_the_raw_record_up_to_its_cap",
    "records in quarantine": "state/test_store.py::test_history_and_quarantine_keep_the_newest",
    "runs in the history": "state/test_store.py::test_history_and_quarantine_keep_the_newest",
    "runs with their requests": "state/test_store.py::test_history_is_bounded",
    "`max_result_rows`": "service/test_query_guard.py::test_a_query_meets_its_limits",
    "`max_result_bytes`": "service/test_query_guard.py::test_a_query_meets_its_limits",
    "`max_memory_usage`": "service/test_query_guard.py::test_a_query_meets_its_limits",
    "`max_execution_time`": "service/test_query_guard.py::test_a_query_meets_its_limits",
}


def rows() -> list[list[str]]:
    text = (ROOT / "docs/security.md").read_text()
    [table] = tables(text.partition("## Limits")[2].partition("\n## ")[0])
    return table[1:]


def test_each_has_a_default() -> None:
    assert [row[0] for row in rows() if not row[1].strip("`")] == []
    assert [row[0] for row in rows() if not row[2] or not row[3]] == []


def test_each_is_met_by_a_test() -> None:
    assert {row[0] for row in rows()} == set(MET)
    for place in MET.values():
        path, function = place.split("::")
        tree = ast.parse((TESTS / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place
