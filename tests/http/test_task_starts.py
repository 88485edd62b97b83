"""Of the requests that arrive in an iteration of the event loop, a few begin in each."""

import asyncio

from service.http.task_starts import MOST_STARTS, TaskStarts


def test_some_begin_at_once_and_the_others_in_order_in_later_iterations():
    async def test() -> None:
        starts, begun = TaskStarts(), list[int]()
        for number in range(3 * MOST_STARTS + 1):
            starts.add(lambda number=number: begun.append(number))  # type: ignore[misc]
        assert begun == list(range(MOST_STARTS))
        for iteration in (2, 3):
            await asyncio.sleep(0)
            assert len(begun) == iteration * MOST_STARTS
        starts.add(lambda: begun.append(-1))
        await asyncio.sleep(0)
        assert begun == [*range(3 * MOST_STARTS + 1), -1]
        await asyncio.sleep(0)
        starts.add(lambda: begun.append(-2))
        assert begun[-1] == -2, "none waits, so it begins at once"

    asyncio.run(test())
