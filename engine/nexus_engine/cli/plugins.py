"""`nexus-engine plugins` and `plugins show NAME`."""

from __future__ import annotations

from typing import Any

import click

from nexus_engine.cli.context import Context, verb
from nexus_engine.errors import NexusError


@click.group("plugins", invoke_without_command=True)
@verb
def command(context: Context) -> None:
    """List plugins, or show one with its options."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    items = [{"kind": item.kind, "name": item.name, "package": item.distribution, "module": item.plugin} for item in context.registry.all()]
    failures = [{"plugin": f.plugin, "package": f.distribution, "reason": f.reason} for f in context.registry.failures]
    if context.out.as_json:
        context.out.json({"plugins": items, "failures": failures})
        return
    context.out.table(items)
    for failure in failures:
        context.out.note(f"failed: {failure['plugin']} ({failure['package']}): {failure['reason']}")


@command.command("show")
@click.argument("name")
@verb
def show(context: Context, name: str) -> None:
    """One plugin: what it is, and its options with types and defaults."""
    from nexus_engine.spec.spelling import nearest

    found = [item for item in context.registry.all() if name in (item.name, f"{item.kind}/{item.name}")]
    if not found:
        near = nearest(name, [item.name for item in context.registry.all()])
        raise NexusError(f"no plugin registers {name!r}", do=f"did you mean {near}?" if near else "see nexus-engine plugins")
    shown: list[dict[str, Any]] = [
        {
            "kind": item.kind,
            "name": item.name,
            "package": item.distribution,
            "module": item.plugin,
            "about": (item.cls.__doc__ or "").strip(),
            "promise": getattr(item.cls, "promise", None),
            "options": options(getattr(item.cls, "options", None)),
        }
        for item in found
    ]
    if context.out.as_json:
        context.out.json(shown)
        return
    for entry in shown:
        context.out.line(f"{entry['kind']} {entry['name']}  ({entry['package']}, {entry['module']})")
        for line in entry["about"].splitlines():
            context.out.line(f"  {line.strip()}")
        if entry["promise"]:
            context.out.line(f"  promises: {entry['promise']}")
        for option in entry["options"]:
            default = "required" if option["required"] else "optional" if option["default"] is None else f"default {option['default']}"
            context.out.line(f"  {option['name']:<16} {option['type']}, {default}")
            if option["description"]:
                context.out.line(f"  {'':<16} {option['description']}")


def options(kind: Any) -> list[dict[str, Any]]:
    """The options of a plugin: name, what is expected, default, description; as its JSON Schema has them."""
    if kind is None:
        return []
    from nexus_engine.spec.typeschema import expected, properties_of, required_of

    required = required_of(kind)
    return [
        {
            "name": name,
            "type": expected(schema),
            "required": name in required,
            "default": schema.get("default"),
            "description": schema.get("description", ""),
        }
        for name, schema in properties_of(kind).items()
    ]
