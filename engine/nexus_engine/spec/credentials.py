"""Several credentials of one API, by name: `credentials:` of an `apis.d` file, one of which a feed picks with `credential:`.

A name is looked up here and nowhere else: what comes out has the chosen one's words under `auth`, as if they had been written there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from nexus_engine.contract.options import misfit
from nexus_engine.contract.policy import Policy
from nexus_engine.contract.registry import Registry
from nexus_engine.spec.checking import check_value
from nexus_engine.spec.convert import convert
from nexus_engine.spec.plugins import check_method
from nexus_engine.spec.report import Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.tree import Path, plain

OWN: Final = ("rate", "quota", "concurrency")
"""What a credential may say beside its method: its own in place of the API's."""


def check_credentials(report: Report, path: Path, node: MappingNode, registry: Registry) -> None:
    """`credentials: {<name>: {<method>: ..., rate: ...}}`."""
    types = get_type_hints(Policy, include_extras=True)
    for name, entry in node.entries.items():
        at = (*path, name)
        if not name.isidentifier():
            report.add(at, "wrong-value", "the name of a credential is a letter, then letters, digits and _", at_key=True)
        elif report.clean(*at) and isinstance(entry.value, MappingNode):
            methods = {key: below for key, below in entry.value.entries.items() if key not in OWN}
            check_method(report, at, methods, registry)
            for key in OWN:
                if key in entry.value.entries:
                    _check_own(report, (*at, key), plain(entry.value.entries[key].value), types[key])


def _check_own(report: Report, path: Path, value: Any, kind: Any) -> None:
    check_value(report, path, value, kind)
    if report.clean(*path) and "{{" not in str(value):
        try:
            convert(value, kind)
        except msgspec.ValidationError as error:
            report.add(path, "wrong-value", misfit(error))


def check_choice(report: Report, path: Path, own: Mapping[str, Any], above: Mapping[str, Any] | None) -> None:
    """The `credential` of a file whose options are ``own``.

    Args:
        above: the options of the API's file; None for that file itself, which need not choose.
    """
    known, chosen = _words({**(above or {}), **own})[0], _words(own)[1]
    if not report.clean(*path, "credential") or not report.clean(*path, "credentials"):
        return
    if chosen and "auth" in own:
        report.add((*path, "credential"), "exclusive", "`auth` and `credential` are two credentials: give one of them", at_key=True)
    elif chosen and chosen not in known:
        report.add((*path, "credential"), "unknown-name", "no such name under `credentials` of the API", _known(chosen, known))
    elif not chosen and len(known) > 1 and above is not None and not {"auth", "credential"} & {*own, *above}:
        message = "`credential` is missing: the API has several, and no `auth` for feeds that name none"
        report.add((*path, "credential"), "missing-key", message, _known("", known))


def _words(options: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The credentials that are there, and the one that is named; what is of another form is reported by its type."""
    known, chosen = options.get("credentials"), options.get("credential")
    return known if isinstance(known, Mapping) else {}, chosen if isinstance(chosen, str) else ""


def _known(name: str, known: Collection[str]) -> str:
    near = nearest(name, known) if name else None
    return f"did you mean `{near}`?" if near else "known: " + ", ".join(sorted(known)) if known else "there are none"


def resolved(merged: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the chosen credential's words in them and without the others.

    Args:
        merged: the API's options under the feed's.
        own: the feed's; what it says itself stays.
    """
    found = {key: value for key, value in merged.items() if key not in ("credentials", "credential")}
    known, name = _words(merged)
    if "auth" in own:
        return found
    if not name and "auth" not in merged and len(known) == 1:
        [name] = known
    words = known.get(name) if name else None
    if not isinstance(words, Mapping):
        return found
    found |= {key: words[key] for key in OWN if key in words and key not in own}
    return found | {"auth": {key: value for key, value in words.items() if key not in OWN}, "credential": name}
