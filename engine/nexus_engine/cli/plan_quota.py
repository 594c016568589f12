"""What a plan says about quotas: what is left of each now, and how often it must renew for so many requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_engine.cli.context import Context
    from nexus_engine.compile.plan import Plan


def quota_facts(context: Context, plan: Plan, requests: int) -> list[dict[str, Any]]:
    """One mapping per quota of the feed: `quota`, `left` now, `renewals` needed before the last of the requests can be sent."""
    from nexus_engine.contract.options import Quota
    from nexus_engine.host.clock import SystemClock
    from nexus_engine.host.quota import Meter
    from nexus_engine.host.rate import budget_key
    from nexus_engine.host.urls import origin

    texts = plan.source.options.get("quota") or ()
    if not texts:
        return []
    url = str(plan.source.options.get("endpoint") or plan.source.options.get("base_url") or "")
    facts = []
    for text in map(str, texts):
        if "{{" in text or (not plan.source.api and "{{" in url):
            continue  # known when the feed runs
        quota = Quota(text)
        key = budget_key(plan.source.api or origin(url), str(plan.source.options.get("credential", "")))
        left = Meter(key, quota, SystemClock(), context.store()).left
        facts.append({"quota": quota.text, "left": left, "renewals": max(0, -(-(requests - left) // quota.count))})
    return facts


def quota_line(fact: dict[str, Any]) -> str:
    again = f"; it must renew {fact['renewals']} times: each time the feed stops and goes on from its position" if fact["renewals"] else ""
    return f"{fact['quota']}: {fact['left']:,} left now{again}"
