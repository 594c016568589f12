"""The other files a project is made of, typed: `apis.d/*.yaml`, `sinks.d/*.yaml`, `nexus.yaml`, `<feed>.test.yaml`."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from nexus_engine.contract.options import ByteSize, Duration, Url
from nexus_engine.contract.policy import RetryOptions
from nexus_engine.contract.records import Records
from nexus_engine.spec.model import Block

_FILE_NAME = "^[a-z][a-z0-9_]{0,63}$"


class ApiFile(Block, frozen=True, kw_only=True):
    """`apis.d/<name>.yaml`: what is true of an API for every feed. Every other key is an option of the plugin."""

    name: Annotated[str, Meta(pattern=_FILE_NAME, description="the API's name; the file is `<name>.yaml`")]
    description: Annotated[str, Meta(description="one line for people")] = ""
    plugin: Annotated[str, Meta(description="the kind of source; `http` unless named")] = "http"
    base_url: Annotated[Url, Meta(description="what every feed's `path` is appended to")] = ""
    records: Annotated[Records | str | None, Meta(description="where the records are, for feeds that do not say")] = None
    format: Annotated[
        str | dict[str, dict[str, Any]] | None, Meta(description="format of the bodies, for feeds that do not say")
    ] = None
    options: dict[str, Any] = {}


class SinkFile(Block, frozen=True, kw_only=True):
    """`sinks.d/<name>.yaml`: a destination. Every other key is an option of the plugin."""

    name: Annotated[str, Meta(pattern=_FILE_NAME, description="the sink's name; the file is `<name>.yaml`")]
    description: Annotated[str, Meta(description="one line for people")] = ""
    plugin: Annotated[str, Meta(description="the kind of sink; `clickhouse` unless named")] = "clickhouse"
    options: dict[str, Any] = {}


class Limits(Block, frozen=True, kw_only=True):
    """Bounds of what one answer or run may take; every one has a clear error."""

    max_body: Annotated[ByteSize, Meta(description="bytes of one answer as sent")] = ByteSize("256MB")
    max_decompressed: Annotated[ByteSize, Meta(description="bytes of one answer after decompression")] = ByteSize("512MB")
    max_ratio: Annotated[int, Meta(ge=1, description="decompressed bytes per byte sent")] = 200
    max_redirects: Annotated[int, Meta(ge=0, le=20, description="redirects of one request")] = 5
    batch_bytes: Annotated[ByteSize, Meta(description="raw bytes of one batch, before the page that fills it")] = ByteSize("64MB")
    max_partitions: Annotated[int, Meta(ge=1, description="partitions of one feed: combinations of its `each` values")] = 100_000


class Settings(Block, frozen=True, kw_only=True):
    """What `nexus.yaml` may say, at its top or for one environment."""

    data_dir: Annotated[str | None, Meta(description="folder of everything written at run time; `data` unless given")] = None
    sink: Annotated[str | None, Meta(description="the default sink; `clickhouse` unless given")] = None
    vars: Annotated[dict[str, str], Meta(description="values for `{{ vars.x }}`")] = {}
    base_urls: Annotated[
        dict[str, str], Meta(description="the beginning of a URL -> what takes its place, for `endpoint` and `base_url`: a sandbox, a mirror, a server of your own")
    ] = {}
    retry: Annotated[RetryOptions | None, Meta(description="how requests are repeated")] = None
    timeout: Annotated[Duration | None, Meta(description="longest time for one request; `60s` unless given")] = None
    limits: Annotated[Limits | None, Meta(description="bounds")] = None
    concurrency: Annotated[Annotated[int, Meta(ge=1, le=64)] | None, Meta(description="feeds side by side; 4 unless given")] = None


class ProjectFile(Settings, frozen=True, kw_only=True):
    """`nexus.yaml`: what is true of the installation."""

    name: Annotated[str, Meta(description="the project's name, for people")] = ""
    environments: Annotated[
        dict[str, Settings], Meta(description="settings that replace the ones above when chosen by `--env` or NEXUS_ENV")
    ] = {}


class ExpectedTotals(Block, frozen=True, kw_only=True):
    """The totals of one run; those left out are not compared."""

    read: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="records read")] = None
    landed: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows written")] = None
    new: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows with a new key")] = None
    revised: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows whose key was there with other values")] = None
    unchanged: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows that were there already")] = None
    superseded: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows whose key came again in the same batch")] = None
    filtered: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="rows a transform left out")] = None
    quarantined: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="records refused")] = None


class Refusal(Block, frozen=True, kw_only=True):
    """One refused record that is expected."""

    reason: Annotated[str, Meta(description="text that one of its reasons contains")]
    raw: Annotated[str, Meta(description="text that its raw record contains")] = ""


class TestFile(Block, frozen=True, kw_only=True):
    """`<feed>.test.yaml`: a recording, and what must land from it."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    recording: Annotated[str, Meta(description="folder of the recording, relative to this file")]
    time: Annotated[str, Meta(description="the time of the run; the recording's own unless given")] = ""
    rows: Annotated[
        tuple[dict[str, str | None], ...], Meta(description="rows that must be in the table; columns left out are not compared")
    ] = ()
    totals: Annotated[ExpectedTotals | None, Meta(description="the totals of the run")] = None
    refused: Annotated[tuple[Refusal, ...], Meta(description="records that must be refused")] = ()
    status: Annotated[str, Meta(description="how the run ends: ok, empty, incomplete or failed", pattern="^(ok|empty|incomplete|failed)$")] = "ok"
    error: Annotated[str, Meta(description="text that the error of a failed run contains")] = ""

