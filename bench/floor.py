"""The transport alone: the same requests with the same client, bodies dropped.

    python floor.py host BASE_URL SERIES      the engine's own HTTP host, as a feed gets it
    python floor.py httpx BASE_URL SERIES     plain httpx, one request after the other
    python floor.py kept BASE_URL RECORDS     one reused httpx.Client; each answer is parsed and its one record kept
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable


def host_client() -> Callable[[str], bytes]:
    from nexus_engine.contract.host import HttpRequest
    from nexus_engine.host.http import HttpHost
    from nexus_engine.host.redact import Redactor

    http = HttpHost(Redactor()).for_feed("floor")
    return lambda url: http.send(HttpRequest("GET", url)).body


def httpx_client() -> Callable[[str], bytes]:
    import httpx

    client = httpx.Client()
    return lambda url: client.get(url).raise_for_status().content


def keep(base: str, records: int) -> None:
    """The bare loop of the part `requests`."""
    get, kept = httpx_client(), []
    for offset in range(records):
        kept += json.loads(get(f"{base}/observations?series_id=R{records}&offset={offset}&limit=1"))["observations"]
    assert len(kept) == records


def main() -> None:
    if sys.argv[1] == "kept":
        keep(sys.argv[2], int(sys.argv[3]))
        return
    get = {"host": host_client, "httpx": httpx_client}[sys.argv[1]]()
    base, series = sys.argv[2:4]
    offset, total = 0, 1
    while offset < total:
        body = get(f"{base}/observations?series_id={series}&offset={offset}&limit=1000")
        if offset == 0:
            total = json.loads(body)["count"]
        offset += 1000


if __name__ == "__main__":
    main()
