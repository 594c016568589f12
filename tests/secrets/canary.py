"""Canaries: a secret for every place one may stand, and a search for them that knows nothing of the engine's own masking.

The middle of each value is letters and digits, so it reads the same plain, URL-encoded and in JSON, and a part of a value that
was cut before it was masked is found, too. Around it stand characters that each encoding writes in its own way.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

CORE = "Zq7canary"

PLACES = {  # name -> (URL path behind the failure's own, further words of `source:`)
    "header": ("", 'headers: {{X-Key: "{secret}"}}'),
    "query": ("", 'params: {{key: "{secret}"}}'),
    "authheader": ("", 'auth: {{header: {{X-Api-Key: "{secret}"}}}}'),
    "authquery": ("", 'auth: {{query: {{api_key: "{secret}"}}}}'),
    "bearer": ("", 'auth: {{bearer: "{secret}"}}'),
    "basic": ("", 'auth: {{basic: {{username: me, password: "{secret}"}}}}'),
    "credential": ("", 'credential: one, credentials: {{one: {{header: {{X-Api-Key: "{secret}"}}}}, two: {{bearer: other}}}}'),
    "path": ("/{quoted}", ""),
    "json": ("", 'method: POST, idempotent: true, json: {{token: "{secret}"}}'),
}


def name_of(place: str) -> str:
    """The secret's name, in `.env` and in templates."""
    return f"KEY_{place.upper()}"


def value_of(place: str) -> str:
    return f'a+/"{CORE}{place}\\<7=&%41 z'


def encodings(value: str) -> dict[str, str]:
    return {
        "plain": value, "url": quote(value, safe=""), "form": quote_plus(value), "path": quote(value), "json": json.dumps(value),
        "base64": base64.b64encode(value.encode()).decode(), "basic": base64.b64encode(f"me:{value}".encode()).decode(),
        "urlsafe": base64.urlsafe_b64encode(value.encode()).decode(),
    }


def needles() -> list[bytes]:
    """What must be nowhere: the middle of every value as it reads plain, and in base64 at each offset."""
    found = [CORE.encode()]
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + CORE.encode())
        found.append(text[4 if offset else 0 : 12])
    return found


def hits(data: bytes, where: str) -> list[str]:
    """Each canary in ``data``, with what stands around it."""
    found = []
    for needle in needles():
        at = data.find(needle)
        if at >= 0:
            found.append(f"{where}: ...{data[max(0, at - 160) : at + 60]!r}...")
    return found


def hits_below(folder: Path, but: frozenset[str] = frozenset()) -> list[str]:
    """Canaries in the bytes and names of all files of a folder, except those that are meant to hold secrets."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found += hits(name.encode(), f"the name of {name}")
        if path.is_file() and name not in but:
            found += hits(path.read_bytes(), name)
    return found
