"""A source whose pages are in a file: ``{"partition key": [body, body, {"raise": "text"}, ...]}``. Loaded as a plugin by tests."""

import json
from pathlib import Path

from nexus_engine import Options, hookimpl
from nexus_engine.contract.source import Payload
from nexus_engine.errors import PageError


class ScriptedOptions(Options, kw_only=True):
    file: str
    concurrency: str = "4"


class Scripted:
    options = ScriptedOptions
    replayable = True

    def read(self, request):
        pages = json.loads(Path(request.options.file).read_text())[request.partition.key]
        first = (request.position or {}).get("page", 0)
        for number, page in enumerate(pages[first:], first + 1):
            url = f"scripted:{request.partition.key}?page={number}"
            if isinstance(page, dict) and "raise" in page:
                raise PageError(page["raise"], url=url, page=number, body="<html>")
            if isinstance(page, dict) and "crash" in page:
                raise RuntimeError(page["crash"])
            body = page.encode() if isinstance(page, str) else json.dumps(page).encode()
            yield Payload(body, {"page": number}, last=number == len(pages), page=number, url=url)


@hookimpl
def register_sources(register):
    register("scripted", Scripted)
