from math import inf

import numpy as np
import pytest

from service.engine.requests import Generation, Sampling
from service.engine.slots import Slots, Stream
from service.errors import InternalError, Overloaded
from service.types import Sampled
from tests.engine.running import LM, SAMPLING


def stream(
    prompt: list[int], max_tokens: int = 3, deadline: float = 1e9, sampling: Sampling = SAMPLING, at_once: bool = True
) -> Stream:
    request = Generation(LM, np.array(prompt, np.int32), max_tokens, sampling, deadline, at_once=at_once)
    return Stream(request, 0.0)


def slots_with(number: int, *streams: Stream, max_waiting: int = 99, max_waiting_tokens: int = 2**31) -> Slots:
    """Returns so many slots, with streams that wait for one."""
    slots = Slots(number, 4, max_waiting, max_waiting_tokens)
    for one in streams:
        slots.admit([one])
    return slots


def step(slots: Slots, sampled: int = 50, now: float = 0.0):
    """Runs the next steps, which sample `sampled` for each row; returns their inputs and what was generated."""
    steps = slots.assemble(now)
    assert steps
    tokens = [
        (owner, token)
        for one in steps
        for owner, due in slots.advance(one, {"ids": np.full(len(one.inputs["ids"]), sampled, np.int32)}, now)
        for token in due
    ]
    return [one.inputs for one in steps], tokens


def test_a_prompt_is_read_in_chunks_then_tokens_follow_one_by_one():
    text = stream([1, 2, 3, 4, 5, 6])
    slots = slots_with(2, text)
    (inputs,), tokens = step(slots)
    assert (inputs["ids"][0].tolist(), inputs["lengths"][0], inputs["fresh"][0]) == ([1, 2, 3, 4], 4, True)
    assert tokens == []
    (inputs,), tokens = step(slots, sampled=7)
    assert (inputs["ids"][0].tolist(), inputs["lengths"][0], inputs["fresh"][0]) == ([5, 6, 0, 0], 2, False)
    assert tokens == [(text, Sampled(7))]
    (inputs,), tokens = step(slots, sampled=8)
    assert (inputs["ids"].tolist(), inputs["position"].tolist()) == ([[7], [0]], [1, 0])
    assert tokens == [(text, Sampled(8))]


def test_a_step_has_the_sampling_parameters_of_each_of_its_texts():
    wishes = Sampling(0.5, 7, 0.25, 2**52), Sampling(2.0, 0, 1.0, -3)
    slots = slots_with(4, *[stream([1], sampling=sampling) for sampling in wishes])
    for number in range(2):
        (inputs,), _ = step(slots)
        for name in Sampling._fields:
            assert inputs[name].tolist() == [getattr(wish, name) for wish in wishes]
        assert inputs["fresh"].tolist() == [not number] * 2
        assert inputs["position"].tolist() == [number] * 2


def test_tokens_that_are_not_wanted_at_once_come_together():
    patient, hasty = stream([1], max_tokens=6, at_once=False), stream([1], max_tokens=6)
    slots = slots_with(2, patient, hasty)
    moments = [10.0, 10.02, 10.04, 10.06, 10.08, 10.1]
    found = [step(slots, sampled=i, now=now)[1] for i, now in enumerate(moments)]
    assert [[token.id for owner, token in tokens if owner is hasty] for tokens in found] == [[i] for i in range(6)]
    of_patient = [[token.id for owner, token in tokens if owner is patient] for tokens in found]
    assert of_patient == [[], [], [], [0, 1, 2, 3], [], [4, 5]], "after a while, and at the end"


def test_a_step_takes_as_few_rows_as_are_compiled_and_leaves_the_other_slots_alone():
    slots = slots_with(16, *[stream([i], max_tokens=2 if i < 13 else 9) for i in range(16)])
    rows = [step(slots)[0][0]["slots"].tolist() for _ in range(3)]
    assert rows == [list(range(16)), list(range(16)), [13, 14, 15, 16]], "16 is the slot of filler rows"
    assert {one.inputs["ids"].shape for one in slots.assemble(0.0)} <= set(slots.shapes)
    assert slots.shapes == [(size, length) for length in (1, 4) for size in (2, 4, 8, 16)]


def test_a_prompt_that_is_read_does_not_stall_a_text_that_is_written():
    writer, reader = stream([1], max_tokens=9), stream([2] * 20)
    slots = slots_with(2, writer)
    step(slots)
    slots.admit([reader])
    for _ in range(4):
        (reads, writes), tokens = step(slots)
        assert (reads["ids"].shape, reads["slots"].tolist()) == ((2, 4), [1, 2])
        assert (writes["ids"].shape, writes["slots"].tolist()) == ((2, 1), [0, 2])
        assert [owner for owner, _ in tokens] == [writer]


def test_a_cancelled_failed_or_expired_stream_frees_its_slot_at_the_next_step():
    cancelled, late, failed, waits, next_one = (stream([1], 99, deadline) for deadline in (1e9, 5.0, 1e9, 5.0, 1e9))
    slots = slots_with(3, cancelled, late, failed, waits, next_one)
    step(slots, now=4.0)
    cancelled.cancelled = True
    failed.error = InternalError("the step failed")
    _, tokens = step(slots, now=5.0)
    assert [owner for owner, _ in tokens] == [next_one]
    assert (waits.started, next_one.started) == (inf, 5.0), "none from the moment of its deadline"


def test_a_cancelled_text_does_not_keep_tokens_from_others_in_its_step():
    gone, stays = stream([1], 99), stream([1], 99)
    slots = slots_with(2, gone, stays)
    (one,) = slots.assemble(0.0)
    slots.cancel(gone)
    (due,) = slots.advance(one, {"ids": np.array([5, 6], np.int32)}, 0.0)
    assert due == (stays, [Sampled(6, batch_size=2)])


def test_a_text_says_how_long_it_waited_for_a_slot_and_how_long_it_has_run():
    text = stream([1])
    text.arrived = 10.0
    assert text.time_spent(12.0) == {"queue": 2.0, "inference": 0.0}
    slots_with(1, text).assemble(13.0)
    assert text.time_spent(17.0) == {"queue": 3.0, "inference": 4.0}


def test_a_request_whose_texts_do_not_all_fit_is_rejected_before_any_of_them_waits():
    slots = slots_with(2, *[stream([1], max_tokens=99) for _ in range(3)], max_waiting=8)
    step(slots)  # two have slots
    for waiting, room in ((1, 7), (8, 0)):
        with pytest.raises(Overloaded, match=rf"^{waiting} of at most 8 texts wait for a slot \(TAGWERK_SLOTS\)$"):
            slots.admit([stream([1]) for _ in range(room + 1)])
        if room:
            slots.admit([stream([1]) for _ in range(room)])


def test_the_prompts_that_wait_may_have_as_many_tokens_as_the_bound_and_no_more():
    slots = slots_with(1, stream([1], max_tokens=10**6), max_waiting_tokens=10)
    step(slots)
    slots.admit([stream([1] * 4)])
    slots.admit([stream([1] * 6)])
    with pytest.raises(Overloaded) as refusal:
        slots.admit([stream([1])])
    assert refusal.value.retry_after_seconds == 60.0
    assert "10 of at most 10 tokens of prompts (TAGWERK_MAX_QUEUE_TOKENS) wait for a slot" in str(refusal.value)
    assert len(slots._waiting) == 2


def test_when_to_come_again_follows_from_what_is_to_be_generated_and_how_fast_that_is():
    def foretold(waiting: int, max_tokens: int, seconds_per_step: float) -> float:
        slots = slots_with(2, *[stream([1], max_tokens) for _ in range(2)], max_waiting=waiting)
        slots.assemble(0.0)
        for _ in range(waiting):
            slots.admit([stream([1], max_tokens)])
        for one in slots.assemble(0.0) * 200:
            slots.measured(one, seconds_per_step)
        with pytest.raises(Overloaded) as refusal:
            slots.admit([stream([1])])
        return refusal.value.retry_after_seconds

    assert foretold(2, 49, 0.01) == pytest.approx(4 * 50 / (2 / 0.01), rel=0.01)
    assert foretold(2, 99, 0.01) == pytest.approx(2 * foretold(2, 49, 0.01), rel=0.01)
    assert foretold(6, 49, 0.01) == pytest.approx(2 * foretold(2, 49, 0.01), rel=0.01)
    assert foretold(2, 49, 0.02) == pytest.approx(2 * foretold(2, 49, 0.01), rel=0.01)
    assert foretold(2, 10**6, 1.0) == 60.0, "what lies further off is not foretold"
