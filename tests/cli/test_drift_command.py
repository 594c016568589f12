"""`nexus-engine drift`: what has changed at the source, and accepting it; with and without a running engine beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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
        assert "2 fields have changed: `price` retyped (number before, text now, like " in failed.stderr
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


@pytest.mark.capability("Drift: one finding is accepted, or all of a feed", spec="nexus-engine drift FEED --accept --field quote.price")
def test_one_field_or_one_kind_is_accepted(tmp_path: Path) -> None:
    rows = [{"id": 1, "price": 1.5, "old": "a"}]
    with RawServer(lambda request: answer({"data": rows})) as server:
        (tmp_path / "nexus.yaml").write_text("{}")
        (tmp_path / "sources.d").mkdir()
        (tmp_path / "sources.d" / "quotes.yaml").write_text(FEED.format(url=server.url, drift=""))
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0
        rows[:] = [{"id": 1, "price": "2.5", "venue": "X", "legs": [{"v.w": 1}]}]
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0

        def left() -> list[tuple[str, str]]:
            return [(item["kind"], item["path"]) for item in told(tmp_path, "drift", "quotes")]

        everything = [("new", "legs"), ("missing", "old"), ("retyped", "price"), ("new", "venue")]
        assert left() == everything
        wrong = command(tmp_path, "drift", "quotes", "--accept", "--field", "venue", "--field", "prize")
        assert (wrong.returncode, "error: 'prize' is not among the open findings of feed quotes" in wrong.stderr) == (2, True)
        assert "engine: nothing was changed" in wrong.stderr
        assert "to do:  did you mean price?" in wrong.stderr
        unknown = command(tmp_path, "drift", "quotes", "--accept", "--field", "price", "--kind", "new")
        assert (unknown.returncode, "'price' is not new in the open findings" in unknown.stderr) == (2, True)
        assert "its fields: legs, venue" in unknown.stderr
        assert left() == everything

        assert command(tmp_path, "drift", "quotes", "--accept", "--field", "price").stdout == "accepted: price retyped\n"
        assert left() == [("new", "legs"), ("missing", "old"), ("new", "venue")]
        assert [item["path"] for item in told(tmp_path, "drift", "--kind", "missing", "--kind", "retyped")] == ["old"]
        assert command(tmp_path, "drift", "quotes", "--accept", "--kind", "new").stdout == "accepted: legs new\naccepted: venue new\n"
        rows[0]["price"] = "3"
        done = command(tmp_path, "run", "quotes", "--once")
        assert "warning" not in done.stderr
        assert left() == [("missing", "old")]
        assert "has not drifted like that" in command(tmp_path, "drift", "quotes", "--field", "venue").stderr
        rows[:] = [{"id": 1, "price": 1.5, "old": "a", "venue": "X", "legs": []}]
        command(tmp_path, "run", "quotes", "--once")
        assert left() == []
        none = command(tmp_path, "drift", "quotes", "--accept", "--field", "price")
        assert (none.returncode, "see nexus-engine drift quotes --all" in none.stderr) == (2, True)


def test_records_of_a_listing_are_not_watched(tmp_path: Path) -> None:
    listed = {"sym": "A", "name": "a"}
    with RawServer(lambda request: answer({"data": [listed if request.target == "/list" else {"id": 1}]})) as server:
        (tmp_path / "nexus.yaml").write_text("{}")
        (tmp_path / "sources.d").mkdir()
        each = f'{{sym: {{request: {{endpoint: "{server.url}/list"}}, records: data, column: sym, with: {{name: name}}}}}}'
        words = f'name: quotes\nsource: {{endpoint: "{server.url}/of/{{{{ each.sym }}}}", records: data, each: {each}}}\n'
        (tmp_path / "sources.d" / "quotes.yaml").write_text(words + "fields: {id: UInt64}\ntarget: {table: m.quotes, key: [id]}\n")
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0
        listed |= {"name": 2, "fresh": 1}
        assert command(tmp_path, "run", "quotes", "--once").returncode == 0
        assert told(tmp_path, "drift", "--all") == []
