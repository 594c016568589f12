"""Where a window goes on after a restart: behind the pages that are safe, or from its start when they are no longer the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from nexus_engine.contract.options import JSON
from nexus_engine.contract.source import ReadRequest
from nexus_plugins.sources.http import marks
from nexus_plugins.sources.http.envelope import Found
from nexus_plugins.sources.http.page import Page
from nexus_plugins.sources.http.paginate import Pager, Step

# What an API answers to a link or a token that it no longer knows. Not who asks, how often, or how much: asking from the start does
# not change that.
MAY_EXPIRE: Final = frozenset({400, 404, 409, 410, 412, 416, 422, 498})
_AGAIN: Final = (
    "the window is read again from its start: with a `key` rows that are in the table already are not written again, without one they are "
    "there twice"
)


class Expired(Exception):
    """The answer to a link or a token of an earlier run may mean that it is no longer known."""


class Fetch(Protocol):
    def __call__(self, step: Step, *, may_expire: bool = False) -> tuple[Step, Page]:
        """
        Raises:
            Expired: with ``may_expire`` only.
        """
        ...


@dataclass
class Resume:
    """The positions of one window: made behind each page, and understood at the next start.

    Args:
        fetch: a page, and the step that got it.
        follow: the step behind a page; ``before`` is what the page before it had.
        total: the number of records that the page tells.
    """

    request: ReadRequest
    pager: Pager
    fetch: Fetch
    follow: Callable[[Step, Page, Found | None], Step | None]
    total: Callable[[Page, Step], int | None]
    walked: str | None = ""  # digest of the pages so far, where links or tokens lead on; None when it is not known

    def behind(self, step: Step, following: Step, page: Page) -> dict[str, JSON]:
        """The position behind a page."""
        seal = self.request.host.http.seal
        position: dict[str, JSON] = {"page": step.page, "seen": following.seen, "at": following.at, "next": seal(following.url)}
        if following.at is not None:
            position["guard"] = marks.mark(step, page.found)
        elif self.walked is not None and not self.pager.lasting:
            self.walked = position["walked"] = marks.walked(self.walked, page.pieces, page.found)
        if following.token:
            position["token"] = seal(following.token)
        if following.size:
            position["size"] = following.size
        return position

    def start(self) -> tuple[Step | None, Found | None]:
        """The page to begin with, and what the page before it had. No step when the last page that is safe now says that it is the
        last of the window."""
        first, position = self.pager.first(), self.request.position
        if not position:
            self.pager.request(first)  # may not be possible
            return first, None
        unseal = self.request.host.http.unseal
        step = Step(
            position["page"] + 1, position["seen"], position["at"], unseal(position["next"]), unseal(position.get("token", "")),
            position.get("size", 0),
        )  # fmt: skip
        return self._led(step, first) if step.at is None else self._counted(step, first, position["guard"])

    def _counted(self, step: Step, first: Step, kept: dict[str, JSON]) -> tuple[Step | None, Found | None]:
        """Numbers and offsets lead on when the last safe page ends as it did."""
        last, page = self.fetch(Step(step.page - 1, 0, kept["at"], size=kept.get("size", 0)))
        if marks.holds(kept, last, page.found, self.total(page, last), numbered=self.pager.numbered):
            ended = marks.whole(kept, page.found) and self.follow(replace(last, seen=step.seen - page.found.count), page, None) is None
            return None if ended else step, page.found
        return self._again(first, f"page {last.page} is no longer what had landed: records came or went before its end")

    def _led(self, step: Step, first: Step) -> tuple[Step | None, Found | None]:
        """A link or a token may have expired. A key cannot: what is wrong then is the page."""
        self.walked = self.request.position.get("walked")
        if self.pager.lasting:
            return step, None
        try:
            return self.fetch(step, may_expire=True)[0], None
        except Expired as error:
            if self.walked is None:  # the position is of an earlier version
                return self._again(first, f"what leads to page {step.page} was refused ({error}) and may have expired")
        self.request.host.log("what leads to the page may have expired; the window is walked again", page=step.page)
        return self._walk(first, step.page - 1)

    def _walk(self, first: Step, safe: int) -> tuple[Step | None, Found | None]:
        """Ask for the pages that are safe once more, without handing them on, to learn what leads to the page behind them."""
        step: Step | None = first
        came, before, count = "", None, 0
        while step is not None and count < safe:
            step, page = self.fetch(step)
            step, before, count = self.follow(step, page, before), page.found, count + 1
            came = marks.walked(came, page.pieces, page.found)
        if count == safe and came == self.walked:
            return step, before
        return self._again(first, f"what leads to page {safe + 1} may have expired, and the pages before it are no longer what had landed")

    def _again(self, first: Step, why: str) -> tuple[Step, None]:
        self.request.host.warn(f"{why}; {_AGAIN}")
        self.pager.begin()
        self.walked = ""
        return first, None
