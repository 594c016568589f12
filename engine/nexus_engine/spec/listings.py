"""`each: {name: {request: ...}}`: the options of a listing, judged like those of the feed, and what they take over from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_engine.contract.registry import Registered, Registry
from nexus_engine.spec.checking import check_options
from nexus_engine.spec.credentials import resolved
from nexus_engine.spec.files import ApiFile
from nexus_engine.spec.meaning import check_records
from nexus_engine.spec.model import Block, EachSource, SourceSpec
from nexus_engine.spec.places import FEED_ROOTS, TemplateCheck
from nexus_engine.spec.plugins import (
    check_auth,
    check_format,
    check_templates,
    check_values,
    check_whole,
    merge_options,
    options_data,
)
from nexus_engine.spec.report import Report
from nexus_engine.spec.templates import TemplateError, names
from nexus_engine.spec.tree import Mapping as MappingNode
from nexus_engine.spec.tree import Path, find, plain

LISTING_ROOTS = FEED_ROOTS - {"window"}  # it is asked before there is a window


def check_listing(
    report: Report, source: MappingNode, name: str, each: EachSource, plugin: Registered, registry: Registry, templates: TemplateCheck,
    api: ApiFile | None,
) -> None:
    """The request of one listing: keys, values, templates over what is known then, and whether it is whole with what it takes over.

    Args:
        templates: knows the `each` names before this one.
    """
    at: Path = ("source", "each", name)
    path = (*at, "request")
    node, entry = _request(source, name), find(source, ("each", name))[0]
    options: type = plugin.cls.options  # type: ignore[attr-defined]
    if node is None or not isinstance(entry, MappingNode):
        return
    check_options(report, path, plain(node), options, None)
    check_templates(report, path, node, Block, plugin, templates, LISTING_ROOTS)
    if "auth" in node.entries and isinstance(node.entries["auth"].value, MappingNode):
        check_auth(report, (*path, "auth"), node.entries["auth"].value, registry)
    if "format" in entry.entries:
        check_format(report, (*at, "format"), entry.entries["format"].value, registry)
    check_records(report, (*at, "records"), each.records)
    check_values(report, path, options_data(node, Block, options), options)
    if not report.clean("source") or (api is None and "api" in source.entries):
        return  # what is wrong in the feed or its API would be told again here
    merged = listing_options(source, name, options, api)
    _check_taken_over(report, path, {key: merged[key] for key in merged if key not in node.entries}, templates)
    check_whole(report, path, merged, options)


def listing_options(source: MappingNode, name: str, options: type, api: ApiFile | None) -> dict[str, Any]:
    """The options of a listing: its own over the API's and over those of the feed that say how to ask, not what to ask for
    (``Options.request_keys``)."""
    node = _request(source, name)
    own = options_data(node, Block, options) if node is not None else {}
    asks: frozenset[str] = getattr(options, "request_keys", frozenset())
    taken = {key: value for key, value in options_data(source, SourceSpec, options).items() if key not in asks}
    over = merge_options(taken, own, "", options)
    return resolved(over if api is None else merge_options(api.options, over, api.base_url, options), over)


def _request(source: MappingNode, name: str) -> MappingNode | None:
    node = find(source, ("each", name, "request"))[0]
    return node if isinstance(node, MappingNode) and node is not source else None


def _check_taken_over(report: Report, path: Path, taken: Mapping[str, Any], templates: TemplateCheck) -> None:
    """An option of the feed may read what there is not yet when a listing is asked."""
    for key, value in taken.items():
        for root, name in sorted(_reads(value)):
            known = templates.known(root)
            if root == "window" or (root == "each" and known is not None and name not in known):
                message = f"the feed's `{key}` reads `{root}.{name}`, which is not known when a listing is asked"
                report.add(path, "template-name", message, f"give `{key}` here too")


def _reads(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, Mapping):
        return {pair for item in value.values() for pair in _reads(item)}
    if isinstance(value, list):
        return {pair for item in value for pair in _reads(item)}
    try:
        return names(value) if isinstance(value, str) else set()
    except TemplateError:  # told at its own place
        return set()
