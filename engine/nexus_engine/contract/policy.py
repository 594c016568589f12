"""The words of the spec that the host obeys for every source that speaks HTTP: a source's options inherit them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from nexus_engine.contract.options import ByteSize, Duration, Options, Rate


class RetryOptions(Options, frozen=True):
    """`retry:` of a feed, an API or the project."""

    attempts: Annotated[int, Meta(ge=1, le=100, description="how often one request is sent at most")] = 5
    base: Annotated[Duration, Meta(description="the first wait is a random time up to this; it doubles each time")] = Duration("1s")
    max_wait: Annotated[
        Duration, Meta(description="the longest wait between two attempts; an API that asks for more ends the run")
    ] = Duration("120s")


class Policy(Options, frozen=True):
    """How requests of a feed are sent. What is not given comes from `nexus.yaml`, then from the engine's defaults."""

    auth: Annotated[
        dict[str, Any], Meta(description="credentials: one key that names the method, `header`, `query`, `bearer` or `basic`")
    ] = {}
    rate: Annotated[Rate | None, Meta(description="at most so many requests in any such time, `120/min`, shared by all feeds of the API")] = None
    concurrency: Annotated[Annotated[int, Meta(ge=1, le=256)] | None, Meta(description="requests of the API in flight at once")] = None
    timeout: Annotated[Duration | None, Meta(description="the longest one request may take, first byte to last; 60s")] = None
    retry: Annotated[RetryOptions | None, Meta(description="attempts and waits")] = None
    hosts: Annotated[
        tuple[str, ...], Meta(description="other hosts that redirects and next-links may lead to; credentials are never sent there")
    ] = ()
    max_body: Annotated[ByteSize | None, Meta(description="the largest body read, as sent; 256MB. Decompressed: twice that")] = None
