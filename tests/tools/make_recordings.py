"""Write the recordings under ``sources.d/recordings/``: vcrpy cassettes in the shape, and with the quirks, that the real
APIs send. The numbers are made up. Deterministic: a second run writes the same bytes.

    python tests/tools/make_recordings.py [--check]

``<feed>/round1`` is a first run. The first seven feeds, which the demo shows, have a ``<feed>/round2``, the next run: the
same rows, one value revised, one row new.
"""

from __future__ import annotations

import gzip
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

sys.path.insert(0, str(Path(__file__).parent))

import recorded_apis  # noqa: E402
import recorded_markets  # noqa: E402

ROOT = Path(__file__).resolve().parents[2] / "sources.d" / "recordings"
RECORDED_AT = {1: "2026-11-20T14:00:00Z", 2: "2026-11-23T14:00:00Z"}
LIMIT_BYTES = 60_000


class _Dumper(yaml.SafeDumper):
    """Bodies of several lines are written as they are (``|``), others on one line."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def interaction(answer: recorded_apis.Answer) -> dict[str, Any]:
    """One request and its answer, as vcrpy writes them. Large bodies stay compressed, as they came."""
    body: str | bytes = answer.body
    headers = {name: [value] for name, value in answer.headers.items()}
    if answer.compressed:
        body = gzip.compress(answer.body.encode(answer.charset), 9, mtime=0)
        headers["Content-Encoding"] = ["gzip"]
    query = urlencode(answer.params, safe=":/")
    return {
        "request": {"method": "GET", "uri": f"{answer.url}?{query}" if query else answer.url, "body": None, "headers": {}},
        "response": {"status": {"code": answer.status, "message": HTTPStatus(answer.status).phrase}, "headers": headers, "body": {"string": body}},
    }


def cassettes() -> dict[Path, str]:
    """Every cassette: path under the recordings folder -> text."""
    rounds = [(feed, number, answers(number)) for feed, answers in recorded_apis.FEEDS.items() for number in RECORDED_AT]
    rounds += [(feed, 1, answers()) for feed, answers in recorded_markets.FEEDS.items()]
    found: dict[Path, str] = {}
    for feed, number, parts in rounds:
        for part, answers in parts.items():
            data = {
                "version": 1,
                "metadata": {"recorded_at": RECORDED_AT[number], "feed": feed},
                "interactions": [interaction(answer) for answer in answers],
            }
            text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10**9, allow_unicode=True)
            found[Path(feed) / f"round{number}" / f"{part}.yaml"] = text
    return found


def main() -> int:
    """Write them, or with ``--check`` say which differ (exit 1)."""
    stale = []
    for path, text in cassettes().items():
        assert len(text.encode()) < LIMIT_BYTES, (path, len(text.encode()))
        file = ROOT / path
        if "--check" in sys.argv:
            if not file.exists() or file.read_text() != text:
                stale.append(str(path))
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(f"{len(text.encode()):7,d} {path}")
    for name in stale:
        print(f"stale: {name}")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
