"""Pages fetched side by side: once a page says how many there are, those behind it are asked for ahead, and taken in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import tee
from typing import Generic, TypeVar, cast

from nexus_engine.contract.host import Http, HttpRequest, HttpResponse
from nexus_plugins.sources.http.paginate import Step

Judged = TypeVar("Judged")


class Ahead(Generic[Judged]):
    """What is foretold is only asked for earlier: pages are taken step by step as if each were asked when its turn comes. The
    first step that is not the foretold one (the server gave shorter pages) ends this, and the rest is asked one by one.

    Args:
        request: makes the request of a step.
        judge: makes a page of an answer, or raises; called in threads of the host.
        accept: statuses that are judged, too.
    """

    def __init__(
        self, http: Http, request: Callable[[Step], HttpRequest], judge: Callable[[Step, HttpResponse], Judged], accept: frozenset[int]
    ) -> None:
        self._http = http
        self._request = request
        self._judge = judge
        self._accept = accept
        self._foretold: Iterator[Step] = iter(())
        self._answers: Iterator[HttpResponse] | None = None
        self._asked: dict[HttpRequest, Step] = {}
        self._judged: dict[Step, Judged] = {}
        self.begun = False

    def begin(self, steps: Iterable[Step]) -> None:
        self.begun = True
        self._foretold, asked = tee(steps)
        self._answers = self._http.map(self._requests(asked), accept=self._accept, check=self._check)

    def take(self, step: Step) -> Judged | None:
        """The page of ``step``; None when it was not asked for ahead. Raises what judging or asking for it raised."""
        if self._answers is None:
            return None
        if next(self._foretold, None) != step:
            self.close()
            return None
        next(self._answers)
        return self._judged.pop(step)

    def close(self) -> None:
        """Ask for nothing more; what is under way ends soon."""
        answers, self._answers = self._answers, None
        if answers is not None:
            cast("Generator[HttpResponse]", answers).close()
        self._judged.clear()

    def _requests(self, steps: Iterable[Step]) -> Iterator[HttpRequest]:
        for step in steps:
            request = self._request(step)
            self._asked[request] = step
            yield request

    def _check(self, request: HttpRequest, response: HttpResponse) -> None:
        step = self._asked[request]
        self._judged[step] = self._judge(step, response)
        del self._asked[request]
