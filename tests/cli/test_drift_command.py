"""`nexus-engine drift`: what has changed at the source, and accepting it; with and without a running engine beside it."""

from __future__ import annotations

import json
from pathlib import Path

from cli_projects import as_json, command
from raw_server import RawServer, answer

FEED = """
name: quotes
source: {{endpoint: "{url}/q", records: data}}
fields: {{id: UInt64, price: "Nullable(Float64)"}}
{drift}
target: {{table: m.quotes, key: [id]}}
"""


def told(folder: Path, *args: str):
    return as_json(command(folder, *args, "--json"))


def test_what_changed_is_shown_counted_and_accepted(tmp_path: Path) -> None:
    rows = [{"id": 1, "price": 1.5}]
    with RawServer(lambda request: answer({"data": rows})) as server:
        (tmp_path / "nexus.yaml").write_text("{}")
        (tmp_path / "sources.d").mkdir()
        feed = tmp_path / "sources.d" / "quotes.yaml"
        feed.write_text(FEED.format(url=server.url, drift="drift: fail"))
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0
        assert "no feed has drifted" in command(tmp_path, "drift").stderr

        rows[0].update(price="2.5", venue="X")
        failed = command(tmp_path, "run", "quotes", "--once")
        assert failed.returncode == 1
        assert "`price` was number and is text" in failed.stdout + failed.stderr
        assert "nexus-engine drift quotes --accept" in failed.stdout + failed.stderr
        assert [(item["kind"], item["path"], item["was"], item["now"]) for item in told(tmp_path, "drift", "quotes")] == [
            ("retyped", "price", "number", "text"), ("new", "venue", "", "text"),
        ]  # fmt: skip
        shown = command(tmp_path, "drift")
        assert "venue" in shown.stdout
        assert "nexus-engine drift" in shown.stderr
        [state] = told(tmp_path, "status")["feeds"]
        assert state["drift"] == 2

        assert "price" in command(tmp_path, "drift", "quotes", "--accept").stdout
        assert told(tmp_path, "drift") == []
        assert {item["state"] for item in told(tmp_path, "drift", "--all")} == {"accepted"}
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0
        [landed] = told(tmp_path, "query", "SELECT price FROM m.quotes_latest")
        assert landed["price"] == 2.5


def test_wrong_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "nexus.yaml").write_text("{}")
    (tmp_path / "sources.d").mkdir()
    feed = tmp_path / "sources.d" / "quotes.yaml"
    feed.write_text(FEED.format(url="http://127.0.0.1:9", drift="drift: {missing: fial}"))
    bad = command(tmp_path, "validate-config")
    assert bad.returncode == 2
    assert "quotes.yaml:5" in bad.stdout + bad.stderr
    assert "fail" in bad.stdout + bad.stderr
    feed.write_text(FEED.format(url="http://127.0.0.1:9", drift=""))
    assert "did you mean quotes" in command(tmp_path, "drift", "qotes").stderr
    assert "name the feed" in command(tmp_path, "drift", "--accept").stderr
    assert json.loads(command(tmp_path, "drift", "quotes", "--accept", "--json").stdout)["accepted"] == []
