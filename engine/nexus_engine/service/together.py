"""Several feeds in one go, side by side: as many as there are slots, each behind those of them whose tables it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from nexus_engine.compile.plan import EachPlan, Plan

T = TypeVar("T")


def run_together(plans: Sequence[Plan], run: Callable[[Plan], T], slots: int) -> list[T]:
    """What ``run`` gives for each plan, in their order.

    Args:
        slots: feeds side by side; 1 runs them one after the other.

    Raises:
        what ``run`` raises, once the feeds under way have ended; no other one is begun.
    """
    if slots == 1 or len(plans) == 1:
        return [run(plan) for plan in plans]
    waiting = {plan.feed: plan for plan in plans}
    before = {plan.feed: _read_by(plan, plans) for plan in plans}
    running: dict[Future[T], str] = {}
    found: dict[str, T] = {}
    with ThreadPoolExecutor(slots, thread_name_prefix="feed") as pool:
        while waiting or running:
            busy = {*waiting, *running.values()}
            ready = [name for name in waiting if not before[name] & busy]
            if not ready and not running:
                ready = list(waiting)[:1]  # they read each other's tables: one has to begin
            for name in ready[: slots - len(running)]:
                running[pool.submit(run, waiting.pop(name))] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                found[running.pop(future)] = future.result()
    return [found[name] for name in before]


def _read_by(plan: Plan, plans: Sequence[Plan]) -> set[str]:
    """The other feeds that land in a table the plan takes its partitions from."""
    tables = {each.table for each in plan.source.each.values() if isinstance(each, EachPlan) and each.table}
    return {other.feed for other in plans if other.target.name in tables and other.feed != plan.feed}
