"""A source that loses its connection before the third of five pages, as often as a file says. Loaded as a plugin by tests."""

import json
from pathlib import Path

from nexus_engine import Options, hookimpl
from nexus_engine.contract.source import Payload
from nexus_engine.errors import Reconnect


class LosingOptions(Options, kw_only=True):
    file: str


class Losing:
    options = LosingOptions
    replayable = True

    def read(self, request):
        path = Path(request.options.file)
        for page in range((request.position or {}).get("page", 0) + 1, 6):
            if page == 3 and (left := json.loads(path.read_text())):
                path.write_text(json.dumps(left - 1))
                raise Reconnect("the connection is gone", where="losing", did="the position is kept", do="nothing: it is asked again")
            yield Payload(json.dumps([{"id": page}]).encode(), {"page": page}, last=page == 5, page=page)


@hookimpl
def register_sources(register):
    register("losing", Losing)
