"""The memory that processes share: records, also of a writer that was killed, slots, and what is derived from them."""

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from service.process import board as board_module
from service.process.board import Board, ProcessStatus, Record, ServiceStatus, Slot
from service.types import ModelKey, ModelState, State
from tests.fakes import Clock

TAGGER, OTHER = ModelKey("tagger", "1"), ModelKey("other", "2")
HEAD = Record._HEAD


@pytest.fixture
def board() -> Board:
    return Board(3)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Returns the clock of heartbeats."""
    clock = Clock()
    monkeypatch.setattr(board_module, "time", SimpleNamespace(monotonic_ns=lambda: int(clock.now * 1e9)))
    return clock


@pytest.fixture
def memory() -> memoryview:
    """Returns the memory of a record, of a process that serves TAGGER."""
    memory = memoryview(bytearray(1000))
    Record(memory, ProcessStatus).write(ProcessStatus(ready=(TAGGER,)))
    return memory


def spoil(memory: memoryview, steps: int) -> None:
    """Writes what is no MessagePack, and moves the sequence number on."""
    HEAD.pack_into(memory, 0, HEAD.unpack_from(memory)[0] + steps, 7)
    memory[HEAD.size : HEAD.size + 7] = b"\xc1" * 7


@pytest.mark.parametrize("steps", [1, 2], ids=["which is being written", "whose number is even"])
def test_a_reader_returns_the_last_value_in_place_of_a_spoilt_one(memory, steps):
    read = Record(memory, ProcessStatus)
    assert read.read().ready == (TAGGER,)
    spoil(memory, steps)
    assert read.read().ready == (TAGGER,)
    assert Record(memory, ProcessStatus).read() == ProcessStatus(), "one that has read nothing before"


@pytest.mark.parametrize("expected", [ProcessStatus(ready=(OTHER,)), ProcessStatus()], ids=["write", "clear"])
def test_a_record_whose_writer_was_killed_in_the_middle_is_whole_again_after_the_next(memory, expected):
    before = Record(memory, ProcessStatus)
    assert before.read().ready == (TAGGER,)
    spoil(memory, 1)
    later, read = Record(memory, ProcessStatus), Record(memory, ProcessStatus)
    if expected.ready:
        later.write(expected)
    else:
        later.clear()
    assert later.sequence % 2 == 0
    assert read.read() == before.read() == expected


def test_the_number_of_a_record_is_odd_while_it_is_written(memory):
    class Memory(bytearray):
        def __setitem__(self, *change: object) -> None:
            assert HEAD.unpack_from(self)[0] % 2

    written = Record(memory, ProcessStatus)
    written._memory = Memory(1000)  # type: ignore[assignment]
    written.write(ProcessStatus(ready=(TAGGER,)))
    assert written.sequence % 2 == 0


def test_a_value_that_is_too_large_is_an_error_and_the_one_before_stays(memory):
    with pytest.raises(ValueError, match="does not fit"):
        Record(memory, ProcessStatus).write(ProcessStatus(refused=((TAGGER, "x" * 1000),)))
    assert Record(memory, ProcessStatus).read().ready == (TAGGER,)


def test_what_is_read_beside_a_writer_is_never_mixed():
    memory = memoryview(bytearray(1000))
    written, read = Record(memory, ProcessStatus), Record(memory, ProcessStatus)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            key = ModelKey("x" * (number % 40), str(number))
            written.write(ProcessStatus(ready=(key,), loading=key))

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[ProcessStatus] = set()
    try:
        while len(seen) < 50:
            seen.add(read.read())
    finally:
        over.set()
        writer.join()
    assert all(one.ready == ((one.loading,) if one.loading else ()) for one in seen)


def test_numbers_of_a_slot_are_kept_and_reset(board):
    def values(slot: Slot) -> tuple[object, ...]:
        return slot.connections, slot.state, slot.progress, slot.beats, slot.retiring, slot.status.read()

    slot, other = board.slots[:2]
    slot.connections, slot.state, slot.progress, slot.retiring = 3, State.READY, 1, True
    slot.beat()
    slot.status.write(ProcessStatus(ready=(TAGGER,)))
    assert values(slot) == (3, State.READY, 1, 1, True, ProcessStatus(ready=(TAGGER,)))
    assert values(other) == (0, State.STOPPED, 0, 0, False, ProcessStatus())
    slot.reset()
    assert values(slot) == values(other)


def test_another_process_that_inherits_the_file_sees_and_changes_the_same(board):
    board.service.write(ServiceStatus(shares=((TAGGER, 1.0),)))
    program = f"""
from service.process.board import Board, ProcessStatus
board = Board(3, {board.file})
(served, share), = board.service.read().shares
board.slots[2].status.write(ProcessStatus(ready=(served,)))
board.slots[2].connections = 5
"""
    subprocess.run([sys.executable, "-c", program], pass_fds=[board.file], check=True)
    assert board.slots[2].status.read().ready == (TAGGER,)
    assert [slot.connections for slot in board.slots] == [0, 0, 5]


def test_only_a_ready_process_with_a_fresh_heartbeat_counts_as_the_one_with_the_fewest(board, clock):
    assert board.fewest_connections() is None
    for slot, connections in zip(board.slots, (4, 1, 2), strict=True):
        slot.connections = connections
        slot.state = State.READY
        slot.beat()
    assert board.fewest_connections() == 1
    board.slots[1].state = State.DRAINING
    assert board.fewest_connections() == 2
    clock.now += 0.08
    board.slots[0].beat()
    clock.now += 0.08
    assert board.fewest_connections() == 4, "the third stands still"
    clock.now += 0.2
    assert board.fewest_connections() is None
    assert board.slots[0].ready
    assert not board.slots[0].accepts


def test_the_service_is_ready_once_a_process_that_is_ready_serves_a_model(board):
    assert not board.ready()
    slot = board.slots[1]
    slot.status.write(ProcessStatus(ready=(TAGGER,)))
    assert not board.ready()
    slot.state = State.READY
    assert board.ready()
    slot.status.write(ProcessStatus(refused=((TAGGER, "no"),)))
    assert not board.ready(), "it has no model"
    slot.status.write(ProcessStatus(ready=(TAGGER,)))
    slot.state = State.DRAINING
    assert not board.ready()


@pytest.mark.parametrize(
    ("shared", "of_another", "accepts", "lacks"),
    [
        ([TAGGER], [TAGGER], True, True),
        ([TAGGER], [TAGGER], False, False),
        ([TAGGER], [], True, False),
        ([], [TAGGER], True, False),
        ([OTHER], [OTHER, TAGGER], True, False),
    ],
    ids=["a refused version", "nobody else accepts", "all have refused it", "it is no more in the store", "all has"],
)
def test_a_process_lacks_a_model_that_another_serves(board, shared, of_another, accepts, lacks):
    board.service.write(ServiceStatus(shares=tuple((key, 1.0) for key in shared)))
    board.slots[0].status.write(ProcessStatus(ready=tuple(of_another)))
    if accepts:
        board.slots[0].state = State.READY
        board.slots[0].beat()
    board.slots[1].status.write(ProcessStatus(ready=(OTHER,), refused=((TAGGER, "golden 1"),)))
    assert board.lacks_model(board.slots[1]) is lacks


def test_models_are_ready_loading_or_refused_whatever_process_reads_it(board):
    served, coming, broken = (ModelKey("tagger", version) for version in "123")
    back = ModelKey("other", "4")
    board.service.write(
        ServiceStatus(
            load=((coming, 0.3), (served, 0.7)),
            shares=((served, 0.7), (back, 0.3)),
            refused=((broken, "golden 1"), (served, "its files have changed since")),
            defaults=("tagger",),
            about={"tagger/1": ("tag", "fast"), "tagger/2": ("tag", None)},
        )
    )
    board.slots[0].state = State.READY
    board.slots[0].status.write(ProcessStatus(ready=(served,)))
    board.slots[1].status.write(ProcessStatus(ready=(back,)))  # of a process that has ended
    expected = [
        ModelState(served, State.READY, "its files have changed since", 0.7, True, task="tag", description="fast"),
        ModelState(back, State.STARTING, None, 0.3, False),
        ModelState(coming, State.STARTING, None, 0.0, True, task="tag"),
        ModelState(broken, State.REFUSED, "golden 1", 0.0, False),
    ]
    assert board.model_states() == expected
    assert Board(3, board.file).model_states() == expected


@pytest.mark.parametrize("shares", [((TAGGER, 1.0),), ()], ids=["at the start", "of a new version"])
def test_a_version_that_a_process_has_refused_is_refused_before_the_supervisor_has_read_it(board, shares):
    board.service.write(ServiceStatus(load=((TAGGER, 1.0),), shares=shares, defaults=("tagger",)))
    slot = board.slots[1]
    slot.state = State.READY
    slot.status.write(ProcessStatus(refused=((TAGGER, "golden 1"),)))
    assert board.model_states() == [ModelState(TAGGER, State.REFUSED, "golden 1", 0.0, False)]
    board.slots[0].state = State.READY
    board.slots[0].status.write(ProcessStatus(ready=(TAGGER,)))
    (found,) = board.model_states()
    assert found.state is (State.READY if shares else State.STARTING), "another process has it"
