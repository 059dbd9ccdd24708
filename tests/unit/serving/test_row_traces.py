"""The rows of a batch know the traces of their requests, which the traffic log writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tabular_bento.serving.batching import AdaptiveBatcher
from tabular_bento.serving.tracing import Tracing, row_traces, trace_of

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def test_each_row_of_a_merged_batch_has_the_trace_of_its_request() -> None:
    tracing = Tracing("console", "prices")
    seen: list[Sequence[str | None] | None] = []

    async def compute(rows: Sequence[Any]) -> Sequence[Any]:
        seen.append(await asyncio.to_thread(row_traces))
        return rows

    async def scenario() -> None:
        batcher = AdaptiveBatcher(compute, 100, 100)
        batcher.trace = tracing.batch
        spans = [tracing.begin("http", PARENT), None, tracing.begin("grpc", {})]
        counts = [2, 1, 3]
        await asyncio.gather(*(batcher.enqueue([0] * count, span) for count, span in zip(counts, spans, strict=True)))
        assert seen == [[trace_of(spans[0])] * 2 + [None] + [trace_of(spans[2])] * 3]
        assert trace_of(spans[0]) == PARENT["traceparent"].split("-")[1]

    asyncio.run(scenario())
    assert row_traces() is None
