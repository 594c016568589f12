"""A source that hands over ready-made payloads: what the engine does with them, transport apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta
from nexus_engine.contract.hookspecs import Register, hookimpl
from nexus_engine.contract.options import Options
from nexus_engine.contract.source import Payload, ReadRequest


class BodiesOptions(Options, kw_only=True):
    folder: Annotated[str, Meta(description="folder of *.json files, one payload each, in the order of their names")]


class Bodies:
    options: ClassVar[type[Options]] = BodiesOptions
    replayable: ClassVar[bool] = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        files = sorted(Path(request.options.folder).glob("*.json"))
        first = request.position["file"] + 1 if request.position else 0
        for n in range(first, len(files)):
            yield Payload(body=files[n].read_bytes(), position={"file": n}, last=n + 1 == len(files), page=n + 1)
        if first >= len(files):
            yield Payload(body=b"", position={}, last=True)


@hookimpl
def register_sources(register: Register) -> None:
    register("bench_bodies", Bodies)
