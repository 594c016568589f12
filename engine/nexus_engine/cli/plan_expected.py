"""What a run would take: requests, time at the rate, quotas, rows. From the windows that are due, and from what earlier runs took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexus_engine.cli.plan_quota import quota_facts, quota_line
from nexus_engine.cli.progress import left

if TYPE_CHECKING:
    from nexus_engine.cli.context import Context
    from nexus_engine.compile.plan import Plan

_RUNS = 10  # the newest ones that say something
_LIVE = ("once", "socket", "schedule", "catch-up")


def expected(context: Context, plan: Plan, windows: int, *, backfill: bool = False) -> dict[str, Any]:
    """``requests`` is the least there can be, one per window; ``requests_expected``, ``rows_expected`` and ``runs`` are None, None and
    0 where no finished run of this kind is in the history."""
    past = _past(context, plan, backfill=backfill)
    known = past is not None and past["windows"]
    requests = max(windows, round(windows * past["requests"] / past["windows"])) if past and known else None
    rate = str(plan.source.options.get("rate") or "")
    return {
        "requests": windows, "requests_expected": requests,
        "rows_expected": round(windows * past["read"] / past["windows"]) if past and known else None,
        "runs": past["runs"] if past else 0, "rate": rate, "least_s": least_s(rate, requests or windows),
        "quotas": quota_facts(context, plan, requests or windows),
    }  # fmt: skip


def expected_lines(facts: dict[str, Any], *, more: bool = False) -> list[str]:
    """The same for people, one line each; ``more``: there are windows that were not counted."""
    runs = f"as in the last {facts['runs']} runs" if facts["runs"] > 1 else "as in the last run"
    about = f"; about {facts['requests_expected']:,} {runs}" if facts["requests_expected"] is not None else ""
    lines = [f"  requests  at least {facts['requests']} (one per window; more where a window has more than one page){about}{' and more' if more else ''}"]
    if facts["least_s"] is not None:
        lines.append(f"  time      at least {left(facts['least_s'])}, at the rate {facts['rate']}")
    lines += [f"  quota     {quota_line(fact)}" for fact in facts["quotas"]]
    if facts["rows_expected"] is not None:
        lines.append(f"  rows      about {facts['rows_expected']:,} to read, {runs}")
    return lines


def least_s(text: str, requests: int) -> float | None:
    """Seconds that so many requests take at the rate; None without one."""
    from nexus_engine.contract.options import Rate

    if not text or "{{" in text:
        return None
    rate = Rate(text)
    return max(0, requests - rate.count) / rate.count * rate.per_s


def _past(context: Context, plan: Plan, *, backfill: bool) -> dict[str, int] | None:
    """What the newest finished runs took together. Windows of a backfill are like the live ones only where a step cuts both."""
    stepped = plan.cursor is not None and bool(plan.cursor.step_s or plan.cursor.step_months)
    kinds = ("backfill", "replace", *(_LIVE if stepped else ())) if backfill else _LIVE
    found = [
        run.report for run in context.store().runs(plan.feed, 100)
        if run.trigger in kinds and run.status in ("ok", "empty") and run.report.get("windows")
    ][:_RUNS]  # fmt: skip
    if not found:
        return None
    return {"runs": len(found), **{name: sum(int(report.get(name, 0)) for report in found) for name in ("windows", "requests", "read")}}
