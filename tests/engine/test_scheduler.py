from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.padding import Grid
from service.engine.plan import StepTimes
from service.engine.protocol import Inference, Requests
from service.engine.queue import EngineRequest
from service.engine.scheduler import Batch, Model, Scheduler
from service.errors import ModelNotFound, Overloaded, TagwerkError
from service.types import ModelKey, Ragged
from tests.fakes import Clock

TAGGER, JUDGE = ModelKey("tagger", "1"), ModelKey("judge", "1")
GRID = Grid((1, 2, 4), (4, 8, 16))


def scheduler(clock: Clock, max_sequences: int = 100, max_tokens: int = 1000) -> Scheduler:
    made = Scheduler(clock, max_sequences, max_tokens)
    for model in (TAGGER, JUDGE):
        step_times = StepTimes()
        for rows in GRID.batch_sizes:
            step_times.fit(rows, {length: 1e-3 + 1e-6 * rows * length for length in GRID.lengths})
        made.add_model(model, GRID, step_times)
    return made


def admit(to: Scheduler, *lengths: int, model: ModelKey = TAGGER, deadline: float = 1e9) -> EngineRequest:
    sequences = Ragged.of([{"ids": np.zeros(n, np.int32)} for n in lengths])
    (admitted,) = to.admit(Requests.of(Inference(model, sequences, deadline)))
    if isinstance(admitted, TagwerkError):
        raise admitted
    return admitted


def taken(from_: Scheduler) -> Batch:
    batch = from_.take()
    assert batch is not None
    return batch


def lengths(batch: Batch) -> list[int]:
    return [sequence.length for sequence in batch.sequences]


def test_nothing_waits_nothing_is_taken():
    assert scheduler(Clock()).take() is None


def test_sequences_of_a_bucket_share_a_batch_and_others_do_not():
    queue = scheduler(Clock())
    admit(queue, 3, 4, 2)
    admit(queue, 7)
    batch = taken(queue)
    assert (lengths(batch), batch.shape) == ([3, 4, 2], (4, 4))
    batch = taken(queue)
    assert (lengths(batch), batch.shape) == ([7], (1, 7))
    assert queue.take() is None


def admit_each(to: Scheduler, *lengths: int) -> None:
    """Admits a request for each length."""
    for length in lengths:
        admit(to, length)


def test_what_a_batch_took_counts_when_the_next_one_is_filled():
    made = scheduler(Clock())
    for _ in range(2):
        admit(made, 4, 4, 4)
    first = taken(made)
    assert first.shape == (4, 4), "one step costs less than two"
    for _ in range(100):
        made.measured(first, 100.0)
    admit(made, 4)
    assert taken(made).shape == (2, 4), "two small steps cost less than one of four rows"


def test_of_a_models_lanes_the_one_with_the_oldest_request_runs_next():
    queue = scheduler(Clock())
    admit_each(queue, *[2] * 4, *[16] * 4, *[2] * 40, *[8] * 4)
    assert [batch.bucket for batch in iter(queue.take, None)] == [4, 16, *[4] * 10, 8]


def test_no_lane_starves_behind_one_that_is_always_full():
    queue = scheduler(Clock())
    admit_each(queue, *[2] * 8, *[16] * 4)
    buckets = []
    for _ in range(4):
        admit_each(queue, *[2] * 8)
        buckets.append(taken(queue).bucket)
    assert buckets == [4, 4, 16, 4], "it runs when what came before it has run"


def test_a_short_request_does_not_wait_for_all_of_the_long_ones_before_it():
    clock = Clock()
    queue = scheduler(clock, max_sequences=1000, max_tokens=100_000)
    long = [admit(queue, *[16] * 100) for _ in range(4)]
    for _ in range(3):
        clock.now += 0.00001
        taken(queue)
    clock.now += 0.00001
    short = admit(queue, 15)
    ran = [sequence.request for _ in range(4) for sequence in taken(queue).sequences]
    assert short in ran
    assert {sequence.request for batch in iter(queue.take, None) for sequence in batch.sequences} <= set(long)


def test_a_short_request_does_not_wait_for_all_of_a_thousand_short_sentences():
    clock = Clock()
    made = scheduler(clock)
    admit(made, 1)
    first = taken(made)
    for _ in range(100):
        made.measured(replace(first, tokens=1_000_000), 0.001)  # most of what a step costs is not in its tokens
    admit(made, *[1] * 90)
    clock.now += 0.005  # the time of five steps
    short = admit(made, 1)
    steps = next(n for n in range(90) if any(sequence.request is short for sequence in taken(made).sequences))
    assert steps <= 2


def test_a_long_request_does_not_starve_behind_short_ones_that_keep_coming():
    clock = Clock()
    queue = scheduler(clock, max_sequences=10_000, max_tokens=100_000)
    long = admit(queue, *[16] * 20)
    for _ in range(200):
        clock.now += 0.001  # a step
        admit_each(queue, *[15] * 5)  # more than the device does
        taken(queue)
    assert long.taken == 20


@given(st.lists(st.integers(1, 16), min_size=2, max_size=30))
def test_the_sequences_of_a_request_of_one_length_run_in_their_order(lengths_given):
    queue = scheduler(Clock())
    request = admit(queue, *[lengths_given[0]] * len(lengths_given))
    ran = [sequence.position for batch in iter(queue.take, None) for sequence in batch.sequences]
    assert ran == list(range(len(lengths_given)))
    assert request.taken == len(lengths_given)


def test_a_model_does_not_wait_behind_the_crowd_of_another():
    queue = scheduler(Clock())
    admit(queue, *[2] * 80)
    for _ in range(5):
        taken(queue)
    admit(queue, 3, model=JUDGE)
    assert [taken(queue).model for _ in range(2)].count(JUDGE) == 1


def test_a_model_that_paused_has_saved_nothing_up():
    queue = scheduler(Clock())
    admit(queue, *[2] * 80)
    for _ in range(10):
        taken(queue)
    admit(queue, *[2] * 40, model=JUDGE)
    order = [taken(queue).model for _ in range(8)]
    assert order.count(JUDGE) == 4, "two crowds share the device evenly from now on"


def test_rows_that_would_be_filler_go_to_shorter_entries():
    queue = scheduler(Clock())
    admit(queue, 9, 10, 11)  # the grid has no batch of three: one row is left over
    admit(queue, 1)
    admit(queue, 5)
    batch = taken(queue)
    assert (lengths(batch), batch.shape) == ([9, 10, 11, 5], (4, 11))
    assert lengths(taken(queue)) == [1]


def test_models_never_share_a_batch():
    queue = scheduler(Clock())
    admit(queue, 9, 9, 9)
    admit(queue, 3, model=JUDGE)
    assert [sequence.request.model for sequence in taken(queue).sequences] == [TAGGER] * 3


def test_a_full_queue_refuses_and_says_when_to_come_again():
    queue = scheduler(Clock(), max_sequences=2)
    admit(queue, 4, 4)
    full = r"^the queue is full: 2 of at most 2 sequences \(TAGWERK_MAX_QUEUE_ENTRIES\)$"
    with pytest.raises(Overloaded, match=full) as error:
        admit(queue, 1)
    assert error.value.retry_after_seconds > 0
    assert queue.queued_sequences == 2
    taken(queue)
    admit(queue, 1)


def foretold(measurements: int, tokens: int, seconds: float) -> float:
    """Returns after how long a client is to come again while 15 tokens wait, after that many equal batches."""
    made = scheduler(Clock(), max_sequences=1)
    admit(made, 15)
    for _ in range(measurements):
        made.measured(Batch(TAGGER, [], (1, 16), 16, tokens), seconds)
    with pytest.raises(Overloaded) as refusal:
        admit(made, 1)
    return refusal.value.retry_after_seconds


def test_when_to_come_again_follows_the_throughput_of_the_batches():
    assert foretold(0, 0, 0.0) == pytest.approx(15 / 10_000)
    assert foretold(1, 200, 0.01) == pytest.approx(15 / 10_500), "a twentieth of the way to 20,000"
    assert foretold(1, 200, 0.04) == pytest.approx(15 / 9_750)
    assert foretold(200, 200, 0.01) == pytest.approx(15 / 20_000, rel=1e-3)
    assert foretold(200, 200, 4.0) == pytest.approx(15 / 50, rel=0.01)


def test_a_sequence_takes_its_share_of_the_time_of_a_full_batch():
    step_times = StepTimes()
    for rows, seconds in {1: 1.0, 2: 5.0, 4: 8.0}.items():
        step_times.fit(rows, dict.fromkeys(GRID.lengths, seconds))
    assert Model(GRID, step_times).sequence_seconds(8) == 2.0


def test_of_requests_that_come_together_each_has_its_own_sequences_and_deadline():
    sequences = Ragged.of([{"ids": np.zeros(n, np.int32)} for n in (3, 4, 7, 2, 5, 1)])
    requests = scheduler(Clock()).admit(Requests(TAGGER, sequences, [2, 1, 3], [1e9, 2e9, 3e9], [0, 0, 0]))
    found = [
        (request.lengths, request.starts, request.buckets, request.deadline)
        for request in requests
        if isinstance(request, EngineRequest)
    ]
    assert found == [
        ([3, 4], [0, 3], [4, 4], 1e9),
        ([7], [7], [8], 2e9),
        ([2, 5, 1], [14, 16, 21], [4, 8, 4], 3e9),
    ]


def test_the_bound_on_tokens_counts_too_but_an_empty_queue_takes_any_request():
    queue = scheduler(Clock(), max_tokens=10)
    admit(queue, 16)
    full = r"^the queue is full: 16 of at most 10 tokens \(TAGWERK_MAX_QUEUE_TOKENS\)$"
    with pytest.raises(Overloaded, match=full):
        admit(queue, 1)


def test_a_request_is_admitted_whole_or_not_at_all():
    queue = scheduler(Clock(), max_sequences=3)
    admit(queue, 4)
    with pytest.raises(Overloaded):
        admit(queue, 4, 4, 4)
    assert (queue.queued_sequences, queue.queued_tokens) == (1, 4)


def test_an_abandoned_request_gives_its_places_back_at_once_and_never_runs():
    queue = scheduler(Clock(), max_sequences=3)
    gone, stays = admit(queue, 4, 4), admit(queue, 3)
    queue.abandon(gone)
    assert queue.queued_sequences == 1
    admit(queue, 2, 2)
    batch = taken(queue)
    assert lengths(batch) == [3, 2, 2]
    assert batch.sequences[0].request is stays
    queue.abandon(stays)
    assert (queue.queued_sequences, queue.queued_tokens) == (0, 0), "what runs already cannot be taken out"


def test_a_sequence_whose_deadline_has_passed_costs_no_device_time_and_its_neighbours_run():
    clock = Clock()
    queue = scheduler(clock)
    admit(queue, 4, deadline=clock.now + 1)
    admit(queue, 4, deadline=clock.now + 9)
    admit(queue, 4, deadline=clock.now + 1)
    clock.now += 2
    assert len(taken(queue).sequences) == 1
    assert (queue.queued_sequences, queue.queued_tokens) == (0, 0)
    assert queue.take() is None


def test_a_model_that_is_not_loaded_is_not_admitted():
    with pytest.raises(ModelNotFound, match="none/1"):
        admit(scheduler(Clock()), 1, model=ModelKey("none", "1"))


def test_the_time_in_the_queue_is_noted():
    clock = Clock()
    queue = scheduler(clock)
    request = admit(queue, 4)
    clock.now += 0.25
    taken(queue)
    assert request.queue_seconds == 0.25


@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(1, 16), min_size=1, max_size=6),  # a request, by its lengths
            st.just("take"),
            st.just("abandon"),
        ),
        max_size=60,
    )
)
def test_each_admitted_sequence_runs_once_or_is_abandoned_and_the_bounds_hold(actions):
    clock = Clock()
    queue = scheduler(clock, max_sequences=12, max_tokens=60)
    requests: list[EngineRequest] = []
    ran: list[tuple[int, int]] = []
    abandoned: set[int] = set()

    def run(batch: Batch) -> None:
        rows, length = batch.shape
        assert rows in GRID.batch_sizes
        assert batch.bucket == GRID.bucket(length)
        assert 0 < len(batch.sequences) <= rows
        assert max(sequence.length for sequence in batch.sequences) == length
        ran.extend((id(sequence.request), sequence.position) for sequence in batch.sequences)

    for action in actions:
        clock.now += 1
        if action == "take":
            if (batch := queue.take()) is not None:
                run(batch)
            else:
                assert queue.queued_sequences == 0, "the device idles while an sequence waits"
        elif action == "abandon":
            if requests:
                queue.abandon(requests[len(requests) // 2])
                abandoned.add(id(requests[len(requests) // 2]))
        else:
            try:
                requests.append(admit(queue, *action))
            except Overloaded:
                assert queue.queued_sequences > 0
            assert queue.queued_tokens <= 60 or queue.queued_sequences <= 6
    while (batch := queue.take()) is not None:
        run(batch)
    assert len(ran) == len(set(ran)), "an sequence ran twice"
    wanted = {(id(request), i) for request in requests for i in range(len(request.lengths))}
    assert {sequence for sequence in wanted if sequence[0] not in abandoned} <= set(ran) <= wanted
    assert (queue.queued_sequences, queue.queued_tokens) == (0, 0)
