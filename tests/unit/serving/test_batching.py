from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular_bento.errors import OverloadError, PredictionError
from tabular_bento.serving.batching import QUIET_TURNS, AdaptiveBatcher


class Engine:
    """Computes tenfold; keeps the batches it was given, and holds each until it may go on."""

    def __init__(self, free: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        if free:
            self.gate.set()

    async def __call__(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        await self.gate.wait()
        if any(row < 0 for row in rows):
            raise ValueError("a row is negative")
        return [10 * row for row in rows]

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for rows in self.batches]


Scenario = Callable[[], Awaitable[None]]


def run(scenario: Scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(4 * QUIET_TURNS):
        await asyncio.sleep(0)


def batcher_of(engine: Engine, max_batch_rows: int = 100, max_queue_rows: int = 1000) -> AdaptiveBatcher:
    return AdaptiveBatcher(engine, max_batch_rows, max_queue_rows)


def test_a_lone_request_is_computed_at_once_and_waits_for_no_company() -> None:
    async def scenario() -> None:
        engine = Engine(free=True)
        batcher = batcher_of(engine)
        task = asyncio.create_task(batcher.submit([1, 2]))
        for _ in range(QUIET_TURNS + 3):
            await asyncio.sleep(0)
        assert engine.batches == [[1, 2]]
        assert await task == [10, 20]

    run(scenario)


def test_requests_that_arrive_while_one_is_computed_make_up_the_next_batch() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await settle()
        tasks += [asyncio.create_task(batcher.submit([i, i])) for i in range(1, 8)]
        await settle()
        assert engine.sizes == [1]
        assert batcher.waiting_rows == 14
        engine.gate.set()
        assert await asyncio.gather(*tasks) == [[0]] + [[10 * i] * 2 for i in range(1, 8)]
        assert engine.sizes == [1, 14]
        assert batcher.waiting_rows == 0

    run(scenario)


def test_a_batch_is_not_larger_than_its_bound_and_keeps_the_order_of_arrival() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine, max_batch_rows=5)
        tasks = [asyncio.create_task(batcher.submit([i] * 2)) for i in range(8)]
        await settle()
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert max(engine.sizes) <= 5
        assert [row for rows in engine.batches for row in rows] == [i for i in range(8) for _ in range(2)]

    run(scenario)


def test_a_request_larger_than_a_batch_is_computed_alone_and_whole() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine, max_batch_rows=5)
        tasks = [asyncio.create_task(batcher.submit(rows)) for rows in ([1], list(range(50)), [2], [3])]
        await settle()
        engine.gate.set()
        responses = await asyncio.gather(*tasks)
        assert responses[1] == [10 * i for i in range(50)]
        assert engine.sizes == [1, 50, 2]

    run(scenario)


def test_a_row_that_fails_fails_its_own_request_and_no_other() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        tasks = [asyncio.create_task(batcher.submit(rows)) for rows in ([0], [1], [2, -1], [3], [-5], [4])]
        await settle()
        engine.gate.set()
        responses = await asyncio.gather(*tasks, return_exceptions=True)
        assert [responses[i] for i in (0, 1, 3, 5)] == [[0], [10], [30], [40]]
        assert all(isinstance(responses[i], ValueError) for i in (2, 4))
        assert await batcher.submit([7]) == [70]

    run(scenario)


@pytest.mark.parametrize("kept", [0, 1])
def test_results_of_the_wrong_number_are_given_to_nobody(kept: int) -> None:
    async def scenario() -> None:
        async def short(rows: list[int]) -> list[Any]:
            await asyncio.sleep(0)
            return ["someone else's"] * (kept if len(rows) > 1 else 0)

        batcher = AdaptiveBatcher(short, 100, 1000)
        responses = await asyncio.gather(*(batcher.submit([i]) for i in range(5)), return_exceptions=True)
        assert all(isinstance(response, PredictionError) for response in responses)

    run(scenario)


def test_rows_beyond_the_queue_are_refused_and_those_before_them_returned() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine, max_queue_rows=10)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await settle()
        tasks += [asyncio.create_task(batcher.submit([i] * 5)) for i in (1, 2)]
        await settle()
        with pytest.raises(OverloadError, match=r"10 rows are waiting, of at most 10"):
            await batcher.submit([3])
        engine.gate.set()
        assert await asyncio.gather(*tasks) == [[0], [10] * 5, [20] * 5]
        assert await batcher.submit([3]) == [30]

    run(scenario)


def test_a_request_that_takes_some_turns_to_arrive_joins_the_batch_that_is_being_gathered() -> None:
    async def scenario() -> None:
        engine = Engine(free=True)
        batcher = batcher_of(engine)

        async def late(turns: int) -> Any:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await batcher.submit([turns])

        await asyncio.gather(*(late(turns) for turns in (0, QUIET_TURNS // 2, QUIET_TURNS)))
        assert engine.sizes == [3]

    run(scenario)


def test_one_request_larger_than_the_queue_is_served_by_an_idle_server() -> None:
    async def scenario() -> None:
        batcher = batcher_of(Engine(free=True), max_queue_rows=10)
        assert len(await batcher.submit(list(range(100)))) == 100

    run(scenario)


def test_a_caller_that_left_while_waiting_is_not_computed() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await settle()
        tasks += [asyncio.create_task(batcher.submit([i])) for i in range(1, 4)]
        await settle()
        tasks[2].cancel()
        await settle()
        engine.gate.set()
        responses = await asyncio.gather(*tasks, return_exceptions=True)
        assert [responses[i] for i in (0, 1, 3)] == [[0], [10], [30]]
        assert isinstance(responses[2], asyncio.CancelledError)
        assert 2 not in [row for rows in engine.batches for row in rows]
        assert batcher.waiting_rows == 0

    run(scenario)


def test_a_caller_that_left_while_computed_harms_no_other() -> None:
    async def scenario() -> None:
        engine = Engine()
        batcher = batcher_of(engine)
        tasks = [asyncio.create_task(batcher.submit([i])) for i in range(4)]
        await settle()
        tasks[0].cancel()
        engine.gate.set()
        assert (await asyncio.gather(*tasks, return_exceptions=True))[1:] == [[10], [20], [30]]

    run(scenario)


def test_shutdown_cancels_those_that_wait_and_those_being_computed() -> None:
    async def scenario() -> None:
        batcher = batcher_of(Engine())
        tasks = [asyncio.create_task(batcher.submit([i])) for i in range(3)]
        await settle()
        batcher.shutdown()
        responses = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(response, asyncio.CancelledError) for response in responses)

    run(scenario)


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    max_batch_rows=st.integers(1, 20),
)
def test_many_callers_of_any_size_each_get_exactly_their_own_responses(
    sizes: list[int], pauses: list[int], max_batch_rows: int
) -> None:
    async def scenario() -> None:
        engine = Engine(free=True)
        batcher = batcher_of(engine, max_batch_rows, max_queue_rows=10_000)

        async def call(index: int, size: int) -> None:
            for _ in range(pauses[index % len(pauses)]):
                await asyncio.sleep(0)
            rows = [1000 * index + i for i in range(size)]
            assert await batcher.submit(rows) == [10 * row for row in rows]

        await asyncio.gather(*(call(index, size) for index, size in enumerate(sizes)))
        assert sum(engine.sizes) == sum(sizes)
        largest = max(max_batch_rows, *sizes)
        assert max(engine.sizes) <= largest
        assert batcher.waiting_rows == 0

    run(scenario)


def test_a_request_that_expires_while_it_waits_is_dropped_and_its_neighbours_are_returned() -> None:
    async def run() -> None:
        computed: list[int] = []

        async def compute(rows: Sequence[int]) -> Sequence[int]:
            computed.extend(rows)
            return rows

        batcher = AdaptiveBatcher(compute, 100, 100)
        late, good = batcher.enqueue([1]), batcher.enqueue([2])
        late.set_exception(TimeoutError())
        assert await good == [2]
        assert computed == [2]
        with pytest.raises(TimeoutError):
            await late

    asyncio.run(run())
