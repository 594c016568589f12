"""No secret is in anything the engine prints or writes: whatever place it stands in, however a run fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from canary import PLACES, hits, hits_below, name_of, value_of
from canary_server import FAILURES, Script
from raw_server import RawServer, Request, answer

FEED = """\
name: {name}
source: {{{source}, records: rows}}
fields: {{id: UInt32, note: String}}
target: {{table: canary.{name}{sink}}}
"""
MORE = {"link": "paginate: {next: next}", "slow": "paginate: {next: next}", "declared": "errors: [{path: error, message: error, then: fail}]",
        "drips": "timeout: 300ms"}
OPTIONS = {  # a secret where text becomes a number, a date or a path: the message must do without it
    "number": 'timeout: "{secret}"', "filter": "params: {{a: \"{{{{ secrets.{name} | int }}}}\"}}",
    "date": "params: {{a: \"{{{{ secrets.{name} | date('%Y') }}}}\"}}", "size": 'paginate: {{offset: o, limit: {{param: l, size: "{secret}"}}}}',
    "host": 'hosts: ["{secret}"]', "method": 'method: "{secret}"',
}
EVERYWHERE = ("unauthorized", "redirect", "quarantined", "told")  # failures tried with every place; the others with three
COMMANDS = [
    ["validate-config", "--json"], ["status"], ["runs", "--json"], ["quarantine", "list", "--json"], ["state", "export"], ["doctor"],
    ["plan", "link_query"], ["plan", "told_path", "--json"], ["plan", "told_json", "--sql"],
    ["query", "SELECT * FROM canary.told_query"], ["query", "SELECT note FROM canary.told_basic", "--format", "csv"],
    ["preview", "quarantined_bearer"], ["preview", "poison_path", "--json"], ["preview", "unauthorized_path", "--debug"],
]


@dataclass
class Home:
    """A project full of secrets, the server its feeds ask, and everything its commands print."""

    root: Path
    server: RawServer
    other: RawServer

    def write(self, name: str, source: str, sink: str = "") -> None:
        (self.root / "sources.d" / f"{name}.yaml").write_text(FEED.format(name=name, source=source, sink=f", sink: {sink}" if sink else ""))

    def feed(self, failure: str, place: str, base: str = "") -> None:
        path, words = PLACES[place]
        known = {"secret": secret(place), "quoted": secret(place, " | urlencode")}
        url = f"{base or self.server.url}/{failure}/{place}{path.format(**known)}"
        self.write(f"{failure}_{place}", ", ".join(filter(None, [f'endpoint: "{url}"', words.format(**known), MORE.get(failure, "")])))

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "nexus_engine.cli.main", *words]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.root / "tmp"), "PYTHONPATH": str(self.root / "site"), "LC_ALL": "C.UTF-8"}

    def run(self, *words: str) -> str:
        """A command; what it printed, which holds no canary."""
        done = subprocess.run(self.argv(*words), cwd=self.root, env=self.env, capture_output=True, timeout=120)
        found = hits(done.stdout, f"stdout of {words}") + hits(done.stderr, f"stderr of {words}")
        assert not found, "\n".join(found)
        assert b"Traceback" not in done.stderr or "--debug" in words, done.stderr.decode()[-3000:]
        return done.stdout.decode() + done.stderr.decode()

    def clean(self) -> None:
        """Nothing below the project holds a canary but `.env`."""
        found = hits_below(self.root, frozenset({".env"}))
        assert not found, f"{len(found)} files:\n" + "\n".join(found[:12])


def secret(place: str, filters: str = "") -> str:
    return f"{{{{ secrets.{name_of(place)}{filters} }}}}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    root = tmp_path / "home"
    for name in ("sources.d", "sinks.d", "apis.d", "tmp", "site/canary_plugin-1.dist-info"):
        (root / name).mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "canary_plugin.py", root / "site")
    info = root / "site/canary_plugin-1.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: canary-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nexus_engine]\ncanary = canary_plugin\n")
    (root / "nexus.yaml").write_text("name: canary\nretry: {attempts: 2, base: 10ms, max_wait: 1s}\nconcurrency: 8\n")
    (root / ".env").write_text("".join(f"{name_of(place)}='{value_of(place)}'\n" for place in [*PLACES, "base", "sink", "plugin"]))
    with RawServer(lambda request: answer({"rows": []})) as other, RawServer(Script(other.url.replace("127.0.0.1", "localhost"))) as server:
        yield Home(root, server, other)


def test_no_failure_of_an_api_shows_a_secret(home: Home) -> None:
    cases = {(failure, place) for failure in FAILURES for place in (PLACES if failure in EVERYWHERE else ("query", "basic", "path"))}
    for failure, place in cases:
        home.feed(failure, place)
    out = home.run("run", "--once")
    asked = {tuple(request.path.split("/")[1:3]) for request in home.server.requests}
    assert asked == cases, "not every feed asked"
    assert all(sent(request) for request in home.server.requests), "a secret did not arrive, so nothing is proven"
    home.clean()
    for words in COMMANDS:
        home.run(*words)
    for part in home.run("runs", "--json").split('"run_id":"')[1:3]:
        home.run("runs", "show", part.split('"')[0])
    home.run("run", "--once", "--record", "tapes", "--debug", "--json")
    home.clean()
    assert len(list((home.root / "tapes").iterdir())) > 50
    assert home.other.requests == [], "another origin was asked"
    assert "***" in out


def sent(request: Request) -> bool:
    import base64
    from urllib.parse import unquote_plus

    place = request.path.split("/")[2]
    texts = [unquote_plus(request.target.replace("+", "%2B")), unquote_plus(request.target), request.raw.decode("latin-1"), request.body.decode().replace('\\"', '"').replace("\\\\", "\\")]
    texts += [base64.b64decode(value[6:]).decode() for name, value in request.headers.items() if value.startswith("Basic ")]
    return any(value_of(place) in text for text in texts)


def test_nothing_unreachable_and_no_option_shows_a_secret(home: Home) -> None:
    (home.root / "apis.d" / "based.yaml").write_text(f'name: based\nbase_url: "{home.server.url}/unauthorized/base/{secret("base", " | urlencode")}"\n')
    home.write("based", "api: based, path: x")
    for place in PLACES:
        home.feed("refusing", place, "http://127.0.0.1:9")
        home.feed("nohost", place, "http://nexus-canary.invalid")
    home.write("hostname", f'endpoint: "http://{secret("plugin")}.invalid/x"')
    home.write("userinfo", f'endpoint: "http://u:{secret("plugin", " | urlencode")}@127.0.0.1:{home.server.port}/unauthorized/plugin"')
    home.run("run", "--once", "--debug")
    home.clean()
    for name, words in OPTIONS.items():
        home.write(f"option_{name}", f"endpoint: {home.server.url}/told/query, " + words.format(secret=secret("query"), name=name_of("query")))
    home.run("validate-config")
    home.run("run", "--once", "--json", "--record", "tapes")
    home.clean()


def test_no_plugin_shows_a_secret(home: Home) -> None:
    for way in ("raise", "chain", "later", "wrong", "rows"):
        home.write(f"plugin_{way}", f'plugin: telling, way: {way}, token: "{secret("plugin")}"')
    for name, words in {"sink_open": "fails: open", "sink_use": "fails: use"}.items():
        (home.root / "sinks.d" / f"{name}.yaml").write_text(f'name: {name}\nplugin: telling\npassword: "{secret("sink")}"\n{words}\n')
        home.write(name, f"endpoint: {home.server.url}/told/query", name)
    (home.root / "sinks.d/sink_option.yaml").write_text(f'name: sink_option\nplugin: clickhouse\ntimeout: "{secret("sink")}"\n')
    home.write("sink_option", f"endpoint: {home.server.url}/told/query", "sink_option")
    for words in (["run", "--once"], ["run", "--once", "--debug"], ["run", "sink_open", "--once", "--json"], ["runs", "--json"],
                  ["preview", "plugin_raise", "--debug"], ["preview", "plugin_chain"], ["status"]):
        home.run(*words)
    home.clean()


def test_no_kept_answer_holds_a_secret(home: Home) -> None:
    names = [(failure, place) for failure in ("told", "quarantined") for place in PLACES]
    for failure, place in names:
        home.feed(failure, place)
        with (home.root / "sources.d" / f"{failure}_{place}.yaml").open("a") as file:
            file.write("archive: true\n")
    home.run("run", "--once")
    kept = list((home.root / "data" / "archive").rglob("*.zst"))
    assert len(kept) == len(names), "not every answer was kept, so nothing is proven"
    for path in kept:
        with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as stream:
            body = stream.read()
        assert b"***" in body
        assert not hits(body, path.name)
    for words in (["trace", "canary.told_query", "--where", "1", "--json"], ["trace", "canary.told_json", "--where", "1", "--body"],
                  ["trace", "canary.told_bearer", "--where", "1"], ["archive", "--json"], ["reparse", "told_header"], ["runs", "--json"]):
        home.run(*words)
    home.clean()


@pytest.mark.parametrize("point", ["archive.written", "archive.kept"])
def test_a_kill_while_an_answer_is_kept_leaves_no_secret_behind(home: Home, point: str) -> None:
    home.feed("told", "query")
    with (home.root / "sources.d" / "told_query.yaml").open("a") as file:
        file.write("archive: true\n")
    done = subprocess.run(home.argv("run", "--once"), cwd=home.root, env={**home.env, "NEXUS_CRASH_AT": point}, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    [left] = [path for path in (home.root / "data" / "archive").rglob("*") if path.suffix in (".zst", ".part")]
    with pa.OSFile(str(left)) as source, pa.CompressedInputStream(source, "zstd") as stream:
        assert not hits(stream.read(), left.name)
    home.clean()


@pytest.mark.parametrize("point", ["stage.closed", "query.mapped", "query.finished", "insert.before", "insert.after"])
def test_a_kill_leaves_no_secret_behind(home: Home, point: str) -> None:
    home.feed("quarantined", "query")
    done = subprocess.run(home.argv("run", "--once"), cwd=home.root, env={**home.env, "NEXUS_CRASH_AT": point}, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not hits(done.stdout + done.stderr, "output")
    home.clean()


def test_a_kill_while_pages_come_leaves_no_secret_behind(home: Home) -> None:
    home.feed("slow", "bearer")
    raw = home.root / "data" / "raw"
    argv = home.argv("run", "slow_bearer", "--once", "--record", "tapes")
    with subprocess.Popen(argv, cwd=home.root, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not any(path.stat().st_size for path in raw.glob("*")):
            time.sleep(0.05)
        process.kill()
        out = b"".join(process.communicate())
    assert process.returncode == -signal.SIGKILL
    assert any(path.stat().st_size for path in raw.glob("*")), "nothing was staged, so nothing is proven"
    assert not hits(out, "output")
    home.clean()
