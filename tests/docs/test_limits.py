"""Every limit of docs/security.md has a name, a default and a test that meets it; the defaults are those of the code."""

from __future__ import annotations

import ast
import sys

from doc_pages import ROOT, tables

from nexus_engine.contract.options import ByteSize
from nexus_engine.host import body
from nexus_engine.spec import files
from nexus_plugins.sources.http import content

sys.path.insert(0, str(ROOT / "docs"))

import limits  # noqa: E402

TESTS = ROOT / "tests"
IN_RUN = "delivery/test_limits_of_a_run.py::"
FAULTS = "host/test_transport_faults.py::"
FORMATS = "formats/test_limits_of_formats.py::"
QUERY = "service/test_query_guard.py::test_a_query_meets_its_limits"
OF_ENGINE = "clickhouse/test_engine_session.py::test_every_query_starts_from_the_limits_of_the_engine"
MET = {  # limit -> its default as docs show it, and the test that meets it: another default is another promise
    "`max_body`": ("256MB", "host/test_project_limits.py::test_each_limit_is_met"),
    "`max_decompressed`": ("512MB", "host/test_project_limits.py::test_each_limit_is_met"),
    "`max_ratio`": ("200", "host/test_project_limits.py::test_each_limit_is_met"),
    "`max_redirects`": ("5", "host/test_project_limits.py::test_each_limit_is_met"),
    "`batch_bytes`": ("64MB", IN_RUN + "test_a_batch_ends_with_the_page_that_fills_it"),
    "`max_partitions`": ("100000", "delivery/test_fan_out.py::test_more_partitions_than_the_limit_are_an_error"),
    "`attempts`": ("5", FAULTS + "test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap"),
    "`base`": ("1s", FAULTS + "test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap"),
    "`max_wait`": ("120s", FAULTS + "test_the_budget_of_attempts_is_kept_and_waits_grow_to_their_cap"),
    "`timeout`": ("60s", FAULTS + "test_a_server_that_never_answers_meets_the_deadline"),
    "`max_pages`": ("10000", "http_source/test_page_kinds.py::test_circles_and_missing_words_stop_the_feed"),
    "`max_refused`": ("0.5", "delivery/test_loop.py::test_a_page_that_is_mostly_refused_stops_its_partition_in_front_of_it"),
    "`keep`": ("90d", "archive/test_keeping.py::test_what_is_too_old_goes_but_not_what_came_again"),
    "`max_size`": ("10GB", "archive/test_keeping.py::test_the_oldest_go_when_there_is_too_much"),
    "`concurrency` of `nexus.yaml`": ("4", "cli/test_run_together.py::test_no_more_than_concurrency_and_a_recording_one_after_the_other"),
    "`concurrency`: partitions": ("4", IN_RUN + "test_partitions_are_read_side_by_side_as_many_as_there_may_be"),
    "`concurrency`: requests": ("8", "host/test_rate.py::test_concurrency_is_shared_by_the_feeds_of_an_api"),
    "bytes of a spec file": ("1,000,000", "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback"),
    "levels of a spec file": ("50", "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback"),
    "values of a spec file": ("20,000", "spec/test_yaml_corpus.py::test_one_problem_and_no_traceback"),
    "characters of a template": ("65,536", "spec/test_templates.py::test_output_is_bounded"),
    "characters of SQL": ("20,000", "spec/test_problem_texts.py::test_sql_of_a_field_has_an_end"),
    "levels of SQL": ("50", "spec/test_problem_texts.py::test_sql_of_a_field_has_an_end"),
    "bytes of headers": ("65,536", FAULTS + "test_headers_up_to_their_limits_are_read"),
    "lines of headers": ("100", FAULTS + "test_headers_up_to_their_limits_are_read"),
    "seconds to connect": ("15.0", FAULTS + "test_a_host_that_answers_no_connection_is_given_up_long_before_the_timeout"),
    "bytes fetched ahead": ("64,000,000", "http_source/test_pages_ahead.py::test_what_waits_is_bounded_in_bytes"),
    "bytes that error rules see": ("65,536", "http_source/test_error_rules.py::test_rules_see_the_beginning_of_a_body_in_lines_or_xml"),
    "characters of a CSV field": ("8,000,000", FORMATS + "test_a_csv_field"),
    "bytes of a JSON line": ("64,000,000", FORMATS + "test_a_json_line"),
    "levels of XML": ("64", "formats/test_xml_csv_json.py::test_xml_that_is_refused"),
    "levels of XML that error rules see": ("64", "http_source/test_error_rules.py::test_declared_entities_and_deep_nesting_end_the_look_and_nothing_else"),
    "members of a zip": ("10,000", FORMATS + "test_members_of_a_zip"),
    "reconnects of a window": ("5", IN_RUN + "test_a_source_reconnects_a_few_times_and_then_stops"),
    "bytes between reading and staging": ("67,108,864", IN_RUN + "test_reading_waits_where_the_loop_is_behind"),
    "bytes of a first batch": ("12,582,912", IN_RUN + "test_a_batch_ends_with_its_last_page_and_the_first_one_is_smaller"),
    "pages of a batch": ("20,000", IN_RUN + "test_a_batch_ends_with_its_last_page_and_the_first_one_is_smaller"),
    "seconds of a batch": ("10.0", IN_RUN + "test_a_batch_ends_when_it_has_waited_long_enough"),
    "batches ahead": ("3", IN_RUN + "test_no_more_batches_wait_than_may_be_ahead"),
    "queries at once": ("4", "clickhouse/test_engine_session.py::test_queries_of_several_threads_run_side_by_side_and_more_than_there_are_sessions_wait"),
    "`max_execution_time` of the engine": ("600", OF_ENGINE),
    "`max_memory_usage` of the engine": ("4,294,967,296", OF_ENGINE),
    "`max_query_size` of the engine": ("16,777,216", OF_ENGINE),
    "`max_result_rows`": ("1,000,000", QUERY),
    "`max_result_bytes`": ("512,000,000", QUERY),
    "`max_memory_usage`": ("2,000,000,000", QUERY),
    "`max_execution_time`": ("60", QUERY),
    "bytes of a quarantined record": ("64,000", "state/test_store.py::test_quarantine_keeps_the_raw_record_up_to_its_cap"),
    "records in quarantine": ("100,000", "state/test_store.py::test_history_and_quarantine_keep_the_newest"),
    "runs in the history": ("1,000", "state/test_store.py::test_history_and_quarantine_keep_the_newest"),
    "runs with their requests": ("50", "state/test_store.py::test_history_is_bounded"),
    "seconds once the engine stops": ("3.0", FAULTS + "test_stopping_ends_a_wait_at_once_and_a_request_in_flight_soon"),
    "seconds of a drain": ("10.0", "service/test_drain.py::test_a_run_that_outlives_the_drain_is_cut_off_and_continued"),
    "bytes of a command": ("1,000,000", "service/test_socket.py::test_broken_requests_are_answered_and_survived"),
    "connections to the service": ("64", "service/test_socket.py::test_no_more_connections_than_there_may_be"),
}
BOUNDED = (IN_RUN + "test_json_is_read_to_a_depth", IN_RUN + "test_no_more_batches_wait_than_may_be_ahead")  # of what has no limit of its own


def rows() -> list[list[str]]:
    text = (ROOT / "docs/security.md").read_text()
    return next(tables(text.partition("## Limits")[2].partition("\n## ")[0]))[1:]


def test_each_has_a_default() -> None:
    assert [row[0] for row in rows() if not row[2] or not row[3]] == []
    assert {row[0]: row[1].strip("`") for row in rows()} == {name: default for name, (default, _) in MET.items()}


def test_defaults_are_those_of_the_code() -> None:
    """The page's table is the one that is made from the constants; where a default stands twice in the code, it is the same."""
    made = [[cell.strip() for cell in line.strip("|").split("|")] for line in limits.table().splitlines()[2:]]
    assert made == rows()
    project, wire = files.Limits(), body.Limits()
    assert (wire.max_body, wire.max_decompressed) == (project.max_body, project.max_decompressed) == (ByteSize("256MB"), ByteSize("512MB"))
    assert (wire.ratio, wire.redirects) == (project.max_ratio, project.max_redirects)
    assert content.LOOKED_AT == body.HEAD


def test_each_is_met_by_a_test() -> None:
    for place in (*(place for _, place in MET.values()), *BOUNDED):
        path, function = place.split("::")
        tree = ast.parse((TESTS / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place
