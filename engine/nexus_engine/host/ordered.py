"""Answers in the order of their requests, fetched side by side, bounded in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from nexus_engine.contract.host import HttpRequest, HttpResponse
from nexus_engine.host.halt import Halt

AHEAD_BYTES: Final = 64_000_000  # bodies that wait for their turn, with those under way at the size of the largest so far

Send = Callable[[HttpRequest], HttpResponse]


def in_order(send: Send, requests: Iterable[HttpRequest], halt: Halt, *, threads: int, name: str) -> Iterator[HttpResponse]:
    """What ``send`` gives for each request, or raises at its turn. No request is taken from ``requests`` before there is room.

    When the iterator is closed before its end, ``halt`` is set, so that requests under way end soon.
    """
    waiting: deque[Future[HttpResponse]] = deque()
    source, largest = iter(requests), 0
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            while True:
                done = [len(item.result().body) for item in waiting if item.done() and not item.exception()]
                largest = max((largest, *done))
                room = AHEAD_BYTES - sum(done) - largest * (len(waiting) - len(done))
                while len(waiting) < 2 * threads and (room > 0 or not waiting):
                    request = next(source, None)
                    if request is None:
                        break
                    waiting.append(pool.submit(send, request))
                    room -= largest
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            halt.set()
            pool.shutdown(wait=True, cancel_futures=True)
