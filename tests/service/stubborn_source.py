"""A source that does not hear that the engine stops: two pages, then silence until HOME/go is there. Loaded as a plugin by tests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nexus_engine import Options, hookimpl
from nexus_engine.contract.source import Payload, ReadRequest

PAGES = 5


class StubbornOptions(Options, frozen=True):
    home: str


class Stubborn:
    options = StubbornOptions
    replayable = True

    def read(self, request: ReadRequest) -> Iterator[Payload]:
        home = Path(request.options.home)
        for page in range((request.position or {}).get("page", 0) + 1, PAGES + 1):
            if page == 3:
                (home / "silent").touch()
                while not (home / "go").exists():
                    time.sleep(0.05)
            yield Payload(json.dumps([{"id": page}]).encode(), {"page": page}, last=page == PAGES, page=page)


@hookimpl
def register_sources(register: Any) -> None:
    register("stubborn", Stubborn)
