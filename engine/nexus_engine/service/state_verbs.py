"""The verbs that change what the engine remembers: `state set | reset | rename | adopt`, `drift --accept`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

from nexus_engine.compile.plan import Plan
from nexus_engine.deliver.drift import accept
from nexus_engine.errors import ConfigError, NexusError
from nexus_engine.spec.spelling import nearest
from nexus_engine.state.records import Drift, KnownShape
from nexus_engine.state.store import Store

Verb = Callable[[dict[str, Any], Any], Any]
Lock = Callable[[str], AbstractContextManager[None]]


def verbs(store: Store, plan: Callable[[str], Plan], lock: Lock) -> dict[str, Verb]:
    """``lock(feed)`` holds the feed still; ``plan(feed)`` is the plan in effect, or raises."""

    def set_position(args: dict[str, Any], tell: Any) -> dict[str, Any]:
        feed, partition = args["feed"], args.get("partition", "")
        with lock(feed):
            before = _known(store, feed, partition)
            store.set_position(feed, partition, args["position"])
        return {"feed": feed, "partition": partition, "before": before, "position": args["position"]}

    def reset(args: dict[str, Any], tell: Any) -> dict[str, Any]:
        feed = args["feed"]
        with lock(feed):
            forgotten = store.reset(feed, args.get("partition"))
        if not forgotten:
            raise _nothing(feed, args.get("partition"))
        return {"feed": feed, "forgotten": forgotten}

    def rename(args: dict[str, Any], tell: Any) -> dict[str, Any]:
        old, new = args["old"], args["new"]
        with lock(old), lock(new):
            if not store.positions(old):
                raise _nothing(old, None)
            return {"old": old, "new": new, "renamed": store.rename(old, new)}

    def adopt(args: dict[str, Any], tell: Any) -> dict[str, Any]:
        feed = args["feed"]
        with lock(feed):
            if not store.positions(feed):
                raise _nothing(feed, None)
            current = plan(feed)
            store.adopt(feed, current.position_hash, current.target.name)
        return {"feed": feed, "position_hash": current.position_hash}

    def accept_drift(args: dict[str, Any], tell: Any) -> dict[str, Any]:
        feed = args["feed"]
        with lock(feed):
            found = chosen([item for item in store.drift(feed) if item.state == "open"], args.get("fields") or (), args.get("kinds") or (), feed)
            if found:
                known = store.known_shape(feed) or KnownShape(meaning=plan(feed).position_hash, learned=False, shape={})
                store.accept_drift(feed, found, accept(known, found))
        return {"feed": feed, "accepted": [{"path": item.path, "kind": item.kind, "was": item.was, "now": item.now} for item in found]}

    return {"drift/accept": accept_drift, "state/set": set_position, "state/reset": reset, "state/rename": rename, "state/adopt": adopt}


def chosen(found: Sequence[Drift], fields: Collection[str], kinds: Collection[str], feed: str) -> list[Drift]:
    """The findings of these fields and these kinds; of all where none is named.

    Raises:
        ConfigError: a field is named that is not among them.
    """
    some = [item for item in found if not kinds or item.kind in kinds]
    names = list(dict.fromkeys(item.path for item in some))
    for name in fields:
        if name not in names:
            near = nearest(name, names)
            what = " or ".join(kinds) + " in" if kinds else "among"
            raise ConfigError(
                f"{name!r} is not {what} the open findings of feed {feed}", where=f"feed {feed}", did="nothing was changed",
                do=f"did you mean {near}?" if near else f"its fields: {', '.join(names[:10])}" if names else f"see nexus-engine drift {feed} --all",
            )
    return [item for item in some if not fields or item.path in fields]


def _known(store: Store, feed: str, partition: str) -> Any:
    positions = store.positions(feed)
    if positions and partition not in positions:
        names = ", ".join(repr(name) for name in sorted(positions)[:10])
        raise NexusError(
            f"feed {feed} has no partition {partition!r}", where=f"feed {feed}", did="nothing was changed", do=f"its partitions: {names}"
        )
    return positions.get(partition)


def _nothing(feed: str, partition: str | None) -> NexusError:
    what = f"feed {feed} has no stored position" + (f" for partition {partition!r}" if partition is not None else "")
    return NexusError(what, where=f"feed {feed}", did="nothing was changed", do="see nexus-engine state show")
