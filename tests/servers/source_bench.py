"""Runs the http source against a server: options as a spec has them (texts), the real host, the real formats."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
from fake_clock import FakeClock
from nexus_engine.contract.host import RunInfo
from nexus_engine.contract.options import decode_text
from nexus_engine.contract.registry import build_registry
from nexus_engine.contract.records import Records, Want
from nexus_engine.contract.source import Partition, Payload, ReadRequest, Window
from nexus_engine.host.feed_host import FeedHost
from nexus_engine.host.http import HttpHost
from nexus_engine.host.redact import Redactor
from nexus_engine.host.unpack import Unpacking
from nexus_plugins.sources.http.source import HttpSource

REGISTRY = build_registry()


class Feed:
    """One feed. ``read`` collects what came before an error too: ``got`` holds the payloads."""

    def __init__(
        self, options: dict[str, Any], records: Records | str = ".", *, format: str = "json", leaves=(), format_options=None, secret="", compression="",
    ) -> None:
        self.options = msgspec.convert(options, HttpSource.options, strict=False, dec_hook=decode_text)
        self.records = records if isinstance(records, Records) else Records(path=records)
        self.redactor = Redactor()
        if secret:
            self.redactor.add(secret, "KEY")
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.http_host = HttpHost(self.redactor, clock=self.clock, auth={name: item.cls for name, item in REGISTRY.auth.items()})
        kind: Any = REGISTRY.formats[format].cls
        typed = msgspec.convert(format_options or {}, kind.options, strict=False, dec_hook=decode_text)
        http = self.http_host.for_feed("feed", run_id="r1", policy=self.options, stop=self.stop)
        made = kind(typed)
        self.warned: list[str] = []
        self.host = FeedHost(http, Unpacking(made, compression) if compression else made, self.stop, self.warned.append)
        self.leaves = tuple(leaves)
        self.got: list[Payload] = []
        self.window = Window()

    def read(self, position: Any = None) -> list[Payload]:
        self.got = []
        request = ReadRequest(
            self.options, Partition(), self.window, position, self.records, Want(self.records.path, self.leaves),
            RunInfo("r1", "feed", "2026-01-01T00:00:00Z"), self.host,
        )
        for payload in HttpSource().read(request):
            self.got.append(payload)
        return self.got

    def bodies(self, position: Any = None) -> list[Any]:
        return [msgspec.json.decode(payload.body) if payload.body else None for payload in self.read(position)]
