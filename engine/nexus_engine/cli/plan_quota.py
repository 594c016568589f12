"""What a plan says about quotas: what is used and left of each now, and how often it must renew for so many requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_engine.cli.context import Context
    from nexus_engine.compile.plan import Plan
    from nexus_engine.contract.policy import CostOptions


def quota_facts(context: Context, plan: Plan, requests: int) -> list[dict[str, Any]]:
    """One mapping per quota of the feed: `quota`, `used` and `left` now, `needed` for the requests (credits where they have a cost),
    `renewals` before the last of them can be sent."""
    from nexus_engine.contract.options import Quota
    from nexus_engine.host.clock import SystemClock
    from nexus_engine.host.quota import Meter
    from nexus_engine.host.rate import budget_key
    from nexus_engine.host.urls import origin

    texts = plan.source.options.get("quota") or ()
    url = str(plan.source.options.get("endpoint") or plan.source.options.get("base_url") or "")
    cost, facts = _cost(plan), []
    for text in map(str, [texts] if isinstance(texts, str) else texts):
        if "{{" in text or (not plan.source.api and "{{" in url):
            continue  # known when the feed runs
        quota = Quota(text)
        key = budget_key(plan.source.api or origin(url), str(plan.source.options.get("credential", "")))
        left = Meter(key, quota, SystemClock(), context.store()).left
        price = cost.credits if cost is not None else 1
        fit, each = (left // price, max(quota.count // price, 1)) if price else (requests, 1)
        facts.append({
            "quota": quota.text, "used": quota.count - left, "left": left, "needed": requests * price, "credits": cost is not None,
            "renewals": max(0, -(-(requests - fit) // each)),
        })  # fmt: skip
    return facts


def _cost(plan: Plan) -> CostOptions | None:
    from nexus_engine.contract.policy import CostOptions
    from nexus_engine.spec.convert import convert

    words = plan.source.options.get("cost")
    return None if words is None or "{{" in str(words) else convert(words, CostOptions)


def quota_line(fact: dict[str, Any]) -> str:
    again = f"; it must renew {fact['renewals']} times: each time the feed stops and goes on from its position" if fact["renewals"] else ""
    unit = " credits" if fact["credits"] else ""
    return f"{fact['quota']}: {fact['used']:,} used, {fact['left']:,} left now, {fact['needed']:,}{unit} needed{again}"
