"""The tables of docs/comparison.md: configs that public repositories hold for other tools, and what the same streams are here.

Their lines were counted once, at the commit named; ours are counted from docs/rivals/ each time. Counted on both sides: lines that are
neither blank nor a comment. What our specs say, by kind of auth and of paging, is read from them too.
"""

# ruff: noqa: INP001  beside a script, not a package

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import yaml

from nexus_engine.contract.registry import build_registry
from nexus_plugins.auth.tokens import Grant
from nexus_plugins.sources.http.options import KINDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "docs/rivals"
_MANIFEST: Final = "airbyte-integrations/connectors/source-{}/manifest.yaml"


@dataclass(frozen=True)
class Rival:
    """One public config. ``name`` is the API file in docs/rivals/apis.d, and how its feeds begin; ``lines`` are of the parts that the
    streams need, without schemas, forms for users, tests of the connection, imports and Python around the config."""

    name: str
    tool: Literal["Airbyte", "dlt"]
    streams: str
    covers: str
    repository: str
    path: str
    commit: str
    lines: int
    note: str = ""

    @property
    def ours(self) -> list[Path]:
        """Our files: the API's and its feeds'."""
        return [PROJECT / f"apis.d/{self.name}.yaml", *sorted((PROJECT / "sources.d").glob(f"{self.name}_*.yaml"))]

    @property
    def our_lines(self) -> int:
        return sum(count(path.read_text(encoding="utf-8")) for path in self.ours)

    @property
    def allowed(self) -> int:
        """A third of Airbyte's lines, all of dlt's."""
        return self.lines // 3 if self.tool == "Airbyte" else self.lines

    @property
    def kinds(self) -> frozenset[str]:
        """What our files say: `auth: basic`, `paginate: link`, `each: request`, `cursor: step`."""
        documents = [yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) for path in self.ours]  # noqa: S506  texts only
        return frozenset(kind for document in documents for kind in (*_kinds(document), *_kinds(document.get("source", {}))))


def _kinds(words: Mapping[str, Any]) -> Iterator[str]:
    for method, given in words.get("auth", {}).items():
        part = given.get("grant", "client_credentials") if method == "oauth2" else ("cookies" if "cookies" in given else "token") if method == "login" else ""
        yield f"auth: {method}" + (f", {part}" if part else "")
    paginate = words.get("paginate", {})
    yield from (f"paginate: {key}" for key in paginate)
    yield from (f"stop_when: {word}" for word in paginate.get("stop_when", []))
    yield from (f"each: {next(iter(given)) if isinstance(given, dict) else 'a list'}" for given in words.get("each", {}).values())
    yield from (f"cursor: {key}" for key in words.get("cursor", {}))
    yield from (f"errors: {key}" for rule in words.get("errors", []) for key in (*rule, f"then {rule.get('then')}"))
    yield from (f"{key}: {words[key]}" for key in ("method",) if key in words)
    yield from (key for key in ("json", "form") if key in words)


def count(text: str) -> int:
    """Lines that are neither blank nor a comment."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def _airbyte(name: str, streams: str, covers: str, commit: str, lines: int, connector: str = "", note: str = "") -> Rival:
    return Rival(name, "Airbyte", streams, covers, "airbytehq/airbyte", _MANIFEST.format(connector or name), commit, lines, note)


RIVALS: tuple[Rival, ...] = (
    _airbyte(
        "finnhub", "filings, insider transactions, quotes", "key in the query; a list of symbols; windows by date; a value of the list in the record",
        "6f00a36beae14a5c073663da7fad5f0fec5f691e", 149,
    ),
    _airbyte(
        "paypal", "transactions, invoices, payments",
        "OAuth2 client credentials; page numbers, also of a POST with a JSON body; a cursor in the body; windows of a week; nested records; an error by its text",
        "027a46ce224e5fdea28e3e4c88fcab4e330448b8", 243, "paypal-transaction", "its authenticator is Python besides; halving a window that is too large is left out",
    ),
    _airbyte(
        "gong", "calls, answered scorecards, transcripts",
        "basic; a cursor in the body, sent in the query and in the JSON body of a POST; lookback; 404 is empty; parent -> child by POST",
        "020c6552f15cf990e015edabb740205922f4896d", 160, note="the optional filter by user is left out",
    ),
    _airbyte(
        "pinterest", "boards, pins", "OAuth2 refresh token; a cursor in the body; a wait told by a header; errors by code and status; parent -> child",
        "01479924d86e38ee600e68e37a274e46430c5167", 95,
    ),
    _airbyte(
        "metabase", "cards, users, dashboards", "a login whose answer is a session; parent -> child -> grandchild", "1de443f2bd45fd24ddf0b51267ab25e8364d90fe", 156,
    ),
    _airbyte(
        "stripe", "balance transactions", "bearer; keyset: from the last id on; a flag that says there is more; windows of a year; statuses that are left out",
        "070f735e2df8024ee55c2ce8d0773e370122930e", 122,
    ),
    Rival(
        "github", "dlt", "issues, comments", "bearer; Link header; from the last change on; parent -> child with a field of the parent",
        "dlt-hub/dlt", "dlt/sources/_core_source_templates/rest_api_pipeline.py", "3751def0d4b6eccee3c84df14131f5700f11f660", 47,
    ),
    Rival(
        "pokeapi", "dlt", "pokemon, berries, locations", "the next page's URL in the body",
        "dlt-hub/dlt", "dlt/sources/_core_source_templates/rest_api_pipeline.py", "3751def0d4b6eccee3c84df14131f5700f11f660", 19,
    ),
    Rival(
        "tripletex", "dlt", "customers, contacts", "basic; offset with the total told",
        "parhambarazesh/dlt-tripletex-snowflake-pipeline", "rest_api_pipeline.py", "003ed7d007a7e40e6aeaab44175d1001d68e51ef", 45,
    ),
    Rival(
        "alpaca", "dlt", "bars of two symbols", "two keys in headers; a token for the next page; from the last bar on; a list of symbols",
        "bfgoh/dlt_alpaca", "alpaca/__init__.py", "83c2523018f9cd17ed9152437756e7ef762009bd", 35, "its authenticator is 48 lines of Python besides",
    ),
    Rival(
        "zoom", "dlt", "users, meetings, registrants, polls", "OAuth2 for an account; a token for the next page; parent -> child -> grandchild; errors by text and status",
        "untitled-data-company/dlt-rest-api-tutorial", "zoom.py", "662f4a498d2a6541d71c205cea5b6d9d1f1f5dfb", 77,
    ),
    _airbyte(
        "sentry", "issues, projects, releases", "bearer; a token out of the Link header (here: the link itself); newest first, until what was read before",
        "00dad342d513a87420a1b6e59d10fd09cec35fac", 87,
    ),
    _airbyte(
        "twilio", "accounts, addresses, applications, alerts",
        "basic; the next page as a path without a host, or as a whole URL; windows of a year; parent -> child; statuses that are left out or asked again",
        "01245d0e3109b4649e0e03dcc85b6552011adfd4", 125, note="its class for dates is Python besides",
    ),
    Rival(
        "fylr", "dlt", "objects of one type", "OAuth2 by user and password; a search by POST with offset, size and filter in its JSON body; the total is told; from the last change on",
        "denkmalpflege-niedersachsen/dlt-source-fylr", "fylr/helpers.py", "419d21df48c32d7d07e4b32755df6b3b7302efc2", 64,
        "over dlt's `RESTClient`: client and paginator, the auth class of `fylr/auth.py`, the config and search of its README; what follows linked objects is left out",
    ),
)  # fmt: skip

# Kinds that an API can ask for and no config above says, each with what was found (November 2026). They are shown in capabilities.md.
NOT_SAID: Final[Mapping[str, str]] = {
    "auth: cookie": "no config of either tool was found that sends a key in a cookie; dlt has the words (`api_key` with `location: cookie`)",
    "auth: login, cookies": "Airbyte's session authenticator takes its token from the answer's body, dlt's `rest_api` has no login",
    "paginate: header": "dlt has the words (`header_cursor`); a token in a header of its own was found only in a tutorial's manifest and in a program's own copy of `rest_api`",
}


def asked_for() -> list[str]:
    """Every kind of auth and of paging that a spec can say."""
    parts = {"oauth2": get_args(Grant), "login": ("token", "cookies")}
    methods = [f"auth: {name}{f', {part}' if part else ''}" for name in build_registry().auth for part in parts.get(name, ("",))]
    return methods + [f"paginate: {kind}" for kind in KINDS]


def kinds_table() -> str:
    """The second table of docs/comparison.md: who says what."""
    lines = ["| a spec says | in the configs of |", "| --- | --- |"]
    for kind in asked_for():
        names = ", ".join(rival.name for rival in RIVALS if kind in rival.kinds)
        lines.append(f"| `{kind}` | {names or f'none: {NOT_SAID[kind]}'} |")
    return "\n".join(lines)


def table() -> str:
    """The table of docs/comparison.md."""
    lines = ["| API | config for | streams | what it has to say | their lines | ours | ours to theirs |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for rival in RIVALS:
        files = " ".join(f"[{path.stem}](rivals/{path.parent.name}/{path.name})" for path in rival.ours)
        where = f"`{rival.repository}` `{rival.path}` at `{rival.commit[:10]}`"
        said = f"{rival.covers}<br>{where}" + (f"<br>({rival.note})" if rival.note else "")
        share = f"{rival.our_lines / rival.lines:.2f}"
        lines.append(f"| {rival.name}<br>{files} | {rival.tool} | {rival.streams} | {said} | {rival.lines} | {rival.our_lines} | {share} |")
    return "\n".join(lines)
