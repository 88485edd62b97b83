"""The batches that a scheduler selects, and the requests that it admits."""

from collections import Counter
from collections.abc import Sequence
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.queue import EngineRequest, QueuedSequence
from service.engine.requests import ANONYMOUS, Requests
from service.engine.scheduler import PLANNED_BATCHES, PLANNED_WITHOUT_DEADLINE, Batch, Grid, Scheduler, StepTimes
from service.errors import Overloaded, TagwerkError
from service.types import ModelKey, Ragged
from tests.fakes import Clock

TAGGER, CLASSIFIER = ModelKey("tagger", "1"), ModelKey("classifier", "1")
GRID = Grid((1, 2, 4), (4, 8, 16))
PLANNED = PLANNED_BATCHES * GRID.batch_sizes[-1]  # sequences that are planned together, at most


def step_times(fixed: float = 1e-3, cell: float = 1e-6) -> StepTimes:
    """A device whose step takes so many seconds, and more for each cell."""
    return StepTimes({rows: (fixed, cell * rows) for rows in GRID.batch_sizes})


costs = st.builds(step_times, st.floats(0.0, 0.01), st.floats(1e-6, 1e-3))


def scheduler(
    clock: Clock | None = None,
    max_sequences: int = 10_000,
    max_tokens: int = 10**6,
    tagger: StepTimes | None = None,
    classifier: StepTimes | None = None,
) -> Scheduler:
    """Returns a scheduler of two models with these step times."""
    made = Scheduler(clock or Clock(), max_sequences, max_tokens)
    made.add_model(TAGGER, GRID, tagger or step_times())
    made.add_model(CLASSIFIER, GRID, classifier or step_times())
    return made


def admit(
    to: Scheduler,
    *lengths: int,
    model: ModelKey = TAGGER,
    client: int = ANONYMOUS,
    deadline: float = 1e9,
    begun: bool = False,
) -> EngineRequest:
    """Admits a request with sequences of these lengths. Raises its rejection."""
    sequences = Ragged.of([{"ids": np.zeros(n, np.int32)} for n in lengths])
    request = Requests(model, sequences, [len(lengths)], [deadline], [client], begun=begun)
    (admitted,) = to.admit(request, lambda ended: None)
    if isinstance(admitted, TagwerkError):
        raise admitted
    return admitted


def admit_each(to: Scheduler, *lengths: int, deadline: float = 1e9) -> None:
    """Admits a request for each length."""
    for length in lengths:
        admit(to, length, deadline=deadline)


def planned(of: Scheduler) -> Sequence[Sequence[QueuedSequence]]:
    """Returns the batches of the tagger that are planned."""
    return of._models[TAGGER].planned


def taken(from_: Scheduler) -> Batch:
    batch = from_.take()
    assert batch is not None
    return batch


def lengths(batch: Batch) -> list[int]:
    return [sequence.length for sequence in batch.sequences]


def ran(from_: Scheduler) -> list[list[int]]:
    """Takes all batches; returns the lengths of each."""
    found = [lengths(batch) for batch in iter(from_.take, None)]
    assert (from_.queue.sequences, from_.queue.tokens) == (0, 0)
    return found


# Plans


def test_waiting_sequences_are_sorted_and_cut_into_the_batches_that_take_the_least_time():
    queue = scheduler(tagger=step_times(fixed=1e-3, cell=1e-6))
    admit_each(queue, 3, 16, 2, 7)
    batch = taken(queue)
    assert (lengths(batch), batch.shape, batch.bucket, batch.tokens) == ([2, 3, 7, 16], (4, 16), 16, 28)
    queue = scheduler(tagger=step_times(fixed=5e-6, cell=1e-6))
    admit_each(queue, 3, 16, 2, 7)
    found = [(lengths(batch), batch.shape, batch.bucket) for batch in iter(queue.take, None)]
    assert found == [([2, 3], (2, 3), 4), ([16], (1, 16), 16), ([7], (1, 7), 8)]


def test_two_full_batches_are_planned_together_and_run_in_the_order_of_their_first_sequences():
    queue = scheduler()
    admit_each(queue, *[16, 2] * 4, *[3] * 4)
    assert lengths(taken(queue)) == [16] * 4
    admit_each(queue, 2, 2)  # wait for the next plan
    assert ran(queue) == [[2] * 4, [3] * 4, [2] * 2]
    queue = scheduler(tagger=step_times(fixed=3e-6))
    admit_each(queue, 8, 2, 16, 9, 3, 15)
    assert ran(queue) == [[8, 9], [2, 3], [15, 16]]


def test_of_a_client_alone_without_deadlines_many_batches_are_planned_together():
    queue = scheduler(tagger=step_times(fixed=0.1))  # s, more than others wait
    sequences = PLANNED_WITHOUT_DEADLINE * 4
    admit_each(queue, *[16, 2] * (sequences // 2), 3, deadline=inf)
    batches = [tuple(batch) for batch in ran(queue)]
    assert Counter(batches) == {(2,) * 4: sequences // 8, (16,) * 4: sequences // 8, (3,): 1}
    assert batches[-1] == (3,), "the one that is planned later"
    admit_each(queue, *[2] * 8, deadline=inf)
    admit(queue, 3, client=1)
    assert sum(map(len, [taken(queue).sequences, *planned(queue)])) <= 4, "beside another client"


def test_a_plan_ends_with_the_sequence_that_makes_it_fifty_milliseconds():
    for parts, expected in ((2, 2), (3.9, 4), (4.1, 5), (7.5, 8), (20, PLANNED)):
        queue = scheduler(tagger=step_times(fixed=0.0, cell=0.05 / parts / 16))  # of a sequence of 16
        admit_each(queue, *[16] * 12)
        assert sum(map(len, [taken(queue).sequences, *planned(queue)])) == expected


def test_a_step_for_which_other_models_would_wait_too_long_has_fewer_rows():
    cell = 0.05 / (4 * 16)  # a step of four rows of 16 tokens takes as long as is allowed
    for rows, times in ((4, (0.0, cell)), (2, (2e-3, 1.01 * cell)), (1, (1.01 * 0.05, 0.0))):
        queue = scheduler(tagger=step_times(*times))
        admit(queue, *[16] * 8)
        assert taken(queue).shape == (rows, 16), "one row, if no step is short enough"


# Order


@pytest.mark.parametrize("times", [step_times(1e-3, 0.0), step_times(0.0, 1e-3)], ids=["a step", "its tokens"])
def test_a_short_request_does_not_wait_for_all_of_a_hundred_short_sentences_whatever_costs(times):
    clock = Clock()
    made = scheduler(clock, tagger=times)
    admit(made, *[1] * 90)
    clock.now += 0.005  # the time of five steps
    short = admit(made, 1)
    steps = next(n for n in range(90) if any(sequence.request is short for sequence in taken(made).sequences))
    assert steps < PLANNED_BATCHES


def test_a_long_request_does_not_starve_behind_short_ones_that_keep_coming():
    clock = Clock()
    queue = scheduler(clock)
    long = admit(queue, *[16] * 20)
    for _ in range(200):
        clock.now += 0.001  # a step
        admit_each(queue, *[15] * 5)  # more than the device does
        taken(queue)
    assert long.taken == 20


actions = st.lists(st.one_of(st.integers(1, 16), st.just("take")), max_size=80)


@given(actions, costs, st.sampled_from([ANONYMOUS, 1]))
def test_a_request_is_overtaken_by_less_than_a_plan_of_later_ones(actions, times, client):
    clock = Clock()
    queue = scheduler(clock, tagger=times)
    ranks: dict[EngineRequest, int] = {}
    order: list[int] = []
    for action in [*actions, *["take"] * len(actions)]:
        clock.now += 0.001
        if isinstance(action, int):
            ranks[admit(queue, action, client=client)] = len(ranks)
        elif (batch := queue.take()) is not None:
            order += [ranks[sequence.request] for sequence in batch.sequences]
    assert sorted(order) == list(range(len(ranks)))
    for place, rank in enumerate(order):
        assert sum(later > rank for later in order[:place]) < PLANNED
        assert abs(place - rank) < PLANNED


# Models


@pytest.mark.parametrize("batches_before", range(4))
def test_a_model_does_not_wait_for_the_backlog_of_another_nor_for_what_is_planned_of_it(batches_before):
    queue = scheduler()
    admit(queue, *[2] * 80)
    for _ in range(batches_before):
        taken(queue)
    admit(queue, 3, model=CLASSIFIER)
    assert CLASSIFIER in [taken(queue).model for _ in range(2)]


def test_models_share_the_device_by_its_time():
    queue = scheduler(tagger=step_times(fixed=3e-3, cell=0.0), classifier=step_times(fixed=1e-3, cell=0.0))
    for model in (TAGGER, CLASSIFIER):
        admit(queue, *[2] * 48, model=model)
    order = [taken(queue).model for _ in range(12)]
    assert Counter(order) == {TAGGER: 3, CLASSIFIER: 9}
    assert all(TAGGER in order[i : i + 5] for i in range(8)), "one runs while the other has batches planned"


def test_a_model_has_no_credit_after_a_pause():
    queue = scheduler()
    admit(queue, *[2] * 80)
    for _ in range(10):
        taken(queue)
    admit(queue, *[2] * 40, model=CLASSIFIER)
    order = [taken(queue).model for _ in range(8)]
    assert order.count(CLASSIFIER) == 4, "two backlogs share the device evenly from now on"
    queue = scheduler(tagger=step_times(fixed=1.0))
    admit(queue, 2)
    taken(queue)
    admit(queue, *[2] * 40, model=CLASSIFIER)
    taken(queue)
    admit(queue, 2)
    assert [taken(queue).model for _ in range(9)] == [CLASSIFIER] * 9, "what it has used counts"


def test_of_clients_with_equal_tokens_the_model_with_the_least_device_time_is_next_then_the_first_admitted():
    for has_run, waiting, expected in (
        (True, [TAGGER, CLASSIFIER], [CLASSIFIER, TAGGER]),
        (True, [CLASSIFIER, TAGGER], [CLASSIFIER, TAGGER]),
        (False, [TAGGER, CLASSIFIER, TAGGER], [TAGGER, CLASSIFIER]),
    ):
        queue = scheduler()
        if has_run:
            admit(queue, 4)
            assert taken(queue).model == TAGGER
        for client, model in enumerate(waiting, start=1):
            admit(queue, 4, model=model, client=client)
        assert [batch.model for batch in iter(queue.take, None)] == expected


def test_the_client_with_the_least_tokens_is_next_before_models_are_compared():
    queue = scheduler(tagger=step_times(fixed=1e-2), classifier=step_times(1e-9, 1e-9))
    admit(queue, *[1] * 12, client=1)
    assert [taken(queue).model for _ in range(2)] == [TAGGER] * 2
    admit(queue, *[16] * 8, model=CLASSIFIER, client=2)
    assert [taken(queue).model for _ in range(3)] == [CLASSIFIER, TAGGER, CLASSIFIER]


def test_a_client_all_of_whose_sequences_are_planned_keeps_no_other_from_being_next():
    queue = scheduler(tagger=step_times(fixed=5e-6), classifier=step_times(1e-9, 1e-9))
    admit(queue, *[16] * 12, model=CLASSIFIER, client=1)
    assert [taken(queue).model for _ in range(2)] == [CLASSIFIER] * 2
    admit(queue, 1, 16, client=2)
    assert [taken(queue).model for _ in range(3)] == [TAGGER, CLASSIFIER, TAGGER]


def test_a_model_of_which_all_that_waits_is_abandoned_is_passed_over():
    queue = scheduler()
    abandoned = admit(queue, 4)
    admit(queue, 5, model=CLASSIFIER)
    queue.queue.discard(abandoned)
    assert ran(queue) == [[5]]


# Admission


def test_a_queue_that_is_full_of_sequences_or_tokens_rejects_requests_but_an_empty_one_admits_any():
    for queue, full in (
        (scheduler(max_sequences=2), "2 of at most 2 sequences"),
        (scheduler(max_tokens=10), "16 of at most 10 tokens"),
    ):
        admit(queue, 8, 8)
        with pytest.raises(Overloaded, match=rf"^the queue is full: {full} \(TAGWERK_MAX_QUEUE_TOKENS\)$"):
            admit(queue, 1)
        assert queue.queue.sequences == 2
        taken(queue)
        admit(queue, 1)


def retry_after(measurements: int, tokens: int, seconds: float) -> float:
    """Returns Retry-After while 15 tokens wait, after that many equal batches."""
    made = scheduler(max_sequences=1)
    admit(made, 15)
    for _ in range(measurements):
        made.measured(Batch(TAGGER, [], (1, 16), 16, tokens), seconds)
    with pytest.raises(Overloaded) as rejection:
        admit(made, 1)
    return rejection.value.retry_after_seconds


def test_retry_after_follows_the_throughput_of_the_batches():
    assert retry_after(0, 0, 0.0) == pytest.approx(15 / 10_000)
    assert retry_after(1, 200, 0.01) == pytest.approx(15 / 10_500), "a twentieth of the way to 20,000"
    assert retry_after(1, 200, 0.04) == pytest.approx(15 / 9_750)
    assert retry_after(200, 200, 0.01) == pytest.approx(15 / 20_000, rel=1e-3)
    assert retry_after(200, 200, 4.0) == pytest.approx(15 / 50, rel=0.01)
    assert retry_after(500, 1, 100.0) == 60.0, "a minute at most"


def test_a_batch_that_took_less_lowers_the_step_times_of_its_model():
    made = scheduler()
    made.measured(Batch(CLASSIFIER, [], (2, 16), 16, 32), 5e-4)
    assert [made._models[key].step_times.seconds(2, 16) for key in (TAGGER, CLASSIFIER)] == pytest.approx(
        [1.032e-3, 5e-4]
    )


def test_a_sequence_has_its_share_of_the_time_of_a_full_batch():
    fixed, per_token = StepTimes({1: (2.0, 1.0), 2: (4.0, 1.5), 4: (6.0, 2.0)}).of_sequence
    assert [fixed + per_token * length for length in (4, 16)] == [3.5, 9.5]


# The end of requests


def test_the_time_in_the_queue_is_recorded_and_that_in_a_plan_is_part_of_it():
    clock = Clock()
    queue = scheduler(clock)
    first, second = admit(queue, *[16] * 4), admit(queue, *[4] * 4)
    clock.now += 0.25
    taken(queue)
    clock.now += 0.5
    taken(queue)
    assert (first.queue_seconds, second.queue_seconds) == (0.25, 0.75)


requests = st.tuples(
    st.lists(st.integers(1, 16), min_size=1, max_size=6),  # its lengths
    st.sampled_from([TAGGER, CLASSIFIER]),
    st.integers(0, 2),  # its client
)


@given(st.lists(st.one_of(requests, st.sampled_from(["take", "take", "abandon"])), max_size=60), costs)
def test_each_admitted_sequence_runs_once_or_its_request_has_ended_and_the_bounds_hold(actions, times):
    clock = Clock()
    queue = scheduler(clock, max_sequences=12, max_tokens=60, tagger=times)
    admitted: list[EngineRequest] = []
    ran: Counter[tuple[EngineRequest, int]] = Counter()
    abandoned: set[EngineRequest] = set()

    def run(batch: Batch) -> None:
        rows, length = batch.shape
        assert rows in GRID.batch_sizes
        assert batch.bucket == GRID.bucket(length)
        assert 0 < len(batch.sequences) <= rows
        assert (max(lengths(batch)), sum(lengths(batch))) == (length, batch.tokens)
        for request, position, _ in batch.sequences:
            assert request.columns.model == batch.model
            assert request not in abandoned
            ran[request, position] += 1

    def waiting() -> list[int]:
        """Returns the lengths of the sequences that wait."""
        return [
            length
            for request in admitted
            for i, length in enumerate(request.lengths)
            if request not in abandoned and (request, i) not in ran
        ]

    for action in [*actions, *["take"] * 60]:
        clock.now += 0.5
        if action == "take":
            if (batch := queue.take()) is not None:
                run(batch)
            else:
                assert not waiting(), "the device idles while a sequence waits"
        elif action == "abandon":
            if admitted:
                queue.queue.discard(admitted[len(admitted) // 2])
                abandoned.add(admitted[len(admitted) // 2])
        else:
            sizes, model, client = action
            try:
                admitted.append(admit(queue, *sizes, model=model, client=client))
            except Overloaded:
                assert queue.queue.sequences > 0
        assert queue.queue.sequences <= 12
        assert queue.queue.tokens <= 60 or queue.queue.sequences <= 6
        assert (queue.queue.sequences, queue.queue.tokens) == (len(waiting()), sum(waiting()))
    assert set(ran.values()) <= {1}, "a sequence ran twice"
    assert not waiting()
    assert not queue.queue.clients, "a client is left behind"
