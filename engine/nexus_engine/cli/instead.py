"""What `base_urls` of nexus.yaml put in the place of a feed's addresses, for `plan` and `preview`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_engine.compile.plan import Plan, SourcePlan
    from nexus_engine.project.project import Project

_VAR = re.compile(r"\{\{\s*vars\.(\w+)\s*\}\}")


def instead(plan: Plan, project: Project) -> dict[str, str]:
    """Those of `base_urls` that an address of the feed begins with -> what is asked in their place."""
    from nexus_engine.host.urls import BaseUrls

    bases = BaseUrls(project.base_urls)
    found = (bases.prefix(_known(text, project.vars)) for text in _texts(plan.source))
    return {prefix: project.base_urls[prefix] for prefix in dict.fromkeys(found) if prefix is not None}


def instead_lines(found: Mapping[str, str]) -> list[str]:
    """For people, one each."""
    return [f"requests go to {place} instead of {prefix} (base_urls)" for prefix, place in found.items()]


def _texts(source: SourcePlan) -> Iterator[str]:
    """Every text among the options of a source, and of the listings that it is asked for."""
    from nexus_engine.compile.plan import EachPlan

    yield from _inside(source.options)
    for each in source.each.values():
        if isinstance(each, EachPlan) and each.listing is not None:
            yield from _texts(each.listing.source)


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _inside(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _inside(item)


def _known(text: str, names: Mapping[str, str]) -> str:
    """A template with the values of `vars` in it."""
    return _VAR.sub(lambda found: str(names.get(found[1], found[0])), text)
