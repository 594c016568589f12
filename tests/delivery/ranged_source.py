"""A source that answers by window, two days to a page, from a file ``{symbol: {day: value}}``. Loaded as a plugin by tests."""

import json
from pathlib import Path

from nexus_engine import Options, hookimpl
from nexus_engine.contract.source import Payload
from nexus_engine.errors import PageError


class RangedOptions(Options, kw_only=True):
    file: str
    start: str = ""
    end: str = ""
    concurrency: str = "1"


class Ranged:
    """``start`` and ``end`` are options as of an API: the days asked for. A value "down" is an API that fails."""

    options = RangedOptions
    replayable = True

    def read(self, request):
        options, symbol = request.options, request.partition.values["symbol"]
        log = Path(options.file).with_suffix(".log")
        with log.open("a") as out:
            out.write(f"{symbol} {options.start}..{options.end} {request.position}\n")
        known = json.loads(Path(options.file).read_text())[symbol]
        days = [day for day in sorted(known) if options.start <= day < (options.end or "9")]
        first = (request.position or {}).get("page", 0)
        for number in range(first, max(1, -(-len(days) // 2))):
            some = days[2 * number : 2 * number + 2]
            if any(known[day] == "down" for day in some):
                raise PageError("the API is down", url=f"ranged:{symbol}", page=number + 1, body="")
            body = json.dumps({"at": symbol.lower(), "rows": [{"day": day, "v": known[day]} for day in some]}).encode()
            yield Payload(body, {"page": number + 1}, last=2 * number + 2 >= len(days), page=number + 1, url=f"ranged:{symbol}?page={number + 1}")


@hookimpl
def register_sources(register):
    register("ranged", Ranged)
