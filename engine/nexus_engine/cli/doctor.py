"""`nexus-engine doctor`."""

from __future__ import annotations

import platform
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

import nexus_engine
from nexus_engine.cli.context import Context, verb
from nexus_engine.cli.failures import FAILED, Exit

if TYPE_CHECKING:
    from nexus_engine.compile.feeds import LoadedFeeds

LIBRARIES = ("chdb", "pyarrow", "certifi", "msgspec", "sqlalchemy", "pluggy", "jinja2", "sqlglot", "croniter", "clickhouse-driver")
LEAST_FREE_BYTES = 10**9
CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """``state``: ok, warning or failed."""

    state: str
    about: str
    text: str


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Do not try to reach the feeds' hosts.")
@verb
def command(context: Context, offline: bool) -> None:
    """Check the environment a project runs in.

    Versions, the embedded engine, folder and disk, the clock, secrets (named, never shown), plugins, hosts.
    """
    findings: list[Finding] = []
    for check in (_versions, _engine, _folder, _clock, _plugins, _feeds, *(() if offline else (_hosts,))):
        findings.extend(_guarded(check, context))
    if context.out.as_json:
        context.out.json([{"state": f.state, "about": f.about, "text": f.text} for f in findings])
    else:
        marks = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}
        for finding in findings:
            context.out.line(f"{marks[finding.state]}  {finding.about:<18} {finding.text}")
    if any(finding.state == "failed" for finding in findings):
        raise Exit(FAILED)


def _guarded(check: Callable[[Context], Iterator[Finding]], context: Context) -> Iterator[Finding]:
    """One check that fails takes no other away."""
    try:
        yield from check(context)
    except Exception as error:  # noqa: BLE001  whatever is wrong here is what the doctor is for
        yield Finding("failed", check.__name__.strip("_"), f"{type(error).__name__}: {error}".splitlines()[0])


def _versions(context: Context) -> Iterator[Finding]:
    state = "ok" if sys.version_info >= (3, 11) else "failed"
    yield Finding(state, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}")
    yield Finding("ok", "nexus-engine", nexus_engine.__version__)
    for name in LIBRARIES:
        try:
            yield Finding("ok", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("failed", name, "is not installed; pip install nexus-engine")
    yield Finding("ok", "sqlite", sqlite3.sqlite_version)


def _engine(context: Context) -> Iterator[Finding]:
    from nexus_engine.clickhouse.engine import Engine

    engine = Engine(None)
    try:
        [row] = engine.rows("SELECT version() AS version")
        yield Finding("ok", "embedded engine", f"ClickHouse {row['version']}")
    finally:
        engine.close()


def _folder(context: Context) -> Iterator[Finding]:
    from nexus_engine.deliver.lock import owner_pid

    data = context.project.data_dir
    place = next(folder for folder in (data, *data.parents) if folder.exists())
    usage = shutil.disk_usage(place)
    free = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f}"
    yield Finding("ok" if usage.free >= LEAST_FREE_BYTES else "warning", "disk", f"{free} under {place}")
    pid = owner_pid(data / "nexus.lock")
    yield Finding("ok", "data folder", f"{data}, " + (f"owned by process {pid}" if pid is not None else "no engine is running"))
    if data.exists():
        mode = data.stat().st_mode & 0o077
        if mode:
            yield Finding("warning", "data folder", f"others may read it (mode {data.stat().st_mode & 0o777:o}); chmod 700 {data}")
    kind = _file_system(place)
    if kind in ("nfs", "nfs4", "cifs", "smb3", "9p"):
        yield Finding("warning", "data folder", f"is on {kind}: locks and fsync of network file systems cannot be trusted")


def _file_system(place: object) -> str:
    try:
        with open("/proc/mounts", encoding="utf-8") as mounts:  # noqa: PTH123  not a project file
            found = [line.split()[1:3] for line in mounts]
    except OSError:
        return ""
    inside = [(len(mount), kind) for mount, kind in found if str(place).startswith(mount)]
    return max(inside, default=(0, ""))[1]


def _clock(context: Context) -> Iterator[Finding]:
    now = time.time()
    year = time.gmtime(now).tm_year
    zone = time.strftime("%Z")
    yield Finding("ok" if year >= 2025 else "failed", "clock", f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now))} (local zone {zone})")


def _plugins(context: Context) -> Iterator[Finding]:
    yield Finding("ok", "plugins", f"{len(context.registry.all())} registered")
    for failure in context.registry.failures:
        yield Finding("failed", "plugin", f"{failure.plugin}: {failure.reason}")


def _feeds(context: Context) -> Iterator[Finding]:
    from nexus_engine.compile.feeds import unset_secrets
    from nexus_engine.project.secrets import Secrets

    loaded = context.loaded
    yield Finding("failed" if loaded.invalid else "ok", "feeds", f"{len(loaded.plans)} sound, {len(loaded.invalid)} problems in files")
    unset = sorted({name for names in loaded.unset.values() for name in names})
    none_set = replace(context.project, secrets=Secrets({}, {}))
    known = sorted({name for spec in loaded.specs.values() for name in unset_secrets(spec, none_set)} - set(unset))
    for name in known:
        yield Finding("ok", "secret", f"{name} is set")
    for name in unset:
        users = ", ".join(feed for feed, names in loaded.unset.items() if name in names)
        yield Finding("warning", "secret", f"{name} is not set; needed by {users}")


def _hosts(context: Context) -> Iterator[Finding]:
    for host, port in sorted(_targets(context.loaded, context)):
        started = time.monotonic()
        try:
            with socket.create_connection((host, port), CONNECT_TIMEOUT_S):
                yield Finding("ok", "host", f"{host}:{port} answers in {(time.monotonic() - started) * 1000:.0f} ms")
        except OSError as error:
            yield Finding("warning", "host", f"{host}:{port} cannot be reached: {error}")


def _targets(loaded: LoadedFeeds, context: Context) -> set[tuple[str, int]]:
    from nexus_engine.host.urls import BaseUrls

    found, bases = set(), BaseUrls(context.project.base_urls)
    for plan in loaded.plans.values():
        url = str(plan.source.options.get("endpoint") or plan.source.options.get("url") or "")
        parts = urlsplit(bases.target(url))
        if parts.hostname and "{" not in parts.hostname:
            found.add((parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)))
    return found
