"""What a server process knows of the others, the versions that it reads, and how it ends with its supervisor."""

import errno
import logging
import os
import signal
import stat
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.artifact.manifest import ModelVersion
from service.backend.priority import Priority
from service.process import server_process
from service.process.board import SPARE_SLOTS, Board, ProcessStatus, ServiceStatus
from service.process.server import LEAVING_SECONDS, Server
from service.process.server_process import (
    BoardGroup,
    read_versions,
    run_fork_server,
    run_server,
    use_own_temporary_folder,
    watch_lifeline,
)
from service.process.supervised import EXIT_MACHINE
from service.settings import Settings
from service.telemetry.metrics import SHARED_FOLDER
from service.types import ModelKey, ModelState, State
from tests.artifact.test_manifest import write_version

OLD, NEW, OTHER = ModelKey("tagger", "1"), ModelKey("tagger", "2"), ModelKey("other", "1")


@pytest.fixture
def board() -> Board:
    made = Board(3)
    made.service.write(
        ServiceStatus(
            load=((NEW, 0.9), (OLD, 0.1), (OTHER, 1.0)), shares=((OLD, 1.0), (OTHER, 1.0)), defaults=("tagger",)
        )
    )
    return made


def group(board: Board, number: int = 0, unread: Any = ()) -> BoardGroup:
    return BoardGroup(board, board.slots[number], unread)


def states(*keys: ModelKey, state: State = State.READY) -> list[ModelState]:
    return [ModelState(key, state) for key in keys]


def offered(board: Board, own: list[ModelState]) -> dict[str, tuple[float, bool, bool]]:
    """Returns the share of each version, whether it is a default, and whether requests may name it."""
    found = group(board).offered(own)
    return {str(state.key): (state.share, state.default, state.named) for state in found}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (states(OLD, OTHER), {"tagger/1": (1.0, True, True), "other/1": (1.0, False, True)}),
        (states(NEW, OLD), {"tagger/2": (0.0, True, False), "tagger/1": (1.0, True, True)}),
        (states(NEW, OTHER), {"tagger/2": (0.9, True, False), "other/1": (1.0, False, True)}),
        (
            states(NEW) + states(OLD, state=State.REFUSED),
            {"tagger/2": (0.9, True, False), "tagger/1": (0.1, True, True)},
        ),
    ],
    ids=["what all serve", "new beside old versions, until all have them", "only new ones", "the old one is refused"],
)
def test_a_process_offers_shares_of_its_versions_and_names_that_all_processes_have(board, own, expected):
    assert offered(board, own) == expected


def test_what_it_serves_refuses_and_could_not_read_is_noted(board):
    lost, full = (ModelKey("lost", "1"), "it is missing"), (OTHER, "No space left on device")
    made, status = group(board, unread=[lost]), board.slots[0].status
    assert status.read() == ProcessStatus(unread=(lost,))
    made.note_loading(OTHER, 0)
    made.note_unread(*full)  # a fault of the machine
    own = [*states(OLD), ModelState(NEW, State.REFUSED, "golden 1"), ModelState(OTHER, State.REFUSED, full[1])]
    made.note(own)
    assert status.read() == ProcessStatus(None, (OLD,), ((NEW, "golden 1"),), (lost, full))
    assert [state.state for state in made.offered(own)][-1] is State.STARTING, "requests for it get 503"
    sequence = status.sequence
    made.note(own)
    assert status.sequence == sequence, "nothing is written if nothing has changed"


def test_what_it_loads_is_noted_before_it_begins_until_it_is_done(board):
    made, slot = group(board), board.slots[0]
    made.note_loading(OLD, 0)
    assert (slot.status.read().loading, slot.progress) == (OLD, 1)
    made.note_loading(OLD, 1)
    assert (slot.status.read().loading, slot.progress) == (OLD, 2)
    made.note_loading(NEW, 0)  # in another thread, before the event loop notes the first
    made.note(states(OLD))
    assert slot.status.read().loading == NEW
    made.note(states(OLD, NEW))
    assert slot.status.read().loading is None


@pytest.mark.parametrize(
    ("own", "others", "surplus"),
    [(5, [5, 9], 0), (5, [4, 9], 0), (5, [3, 9], 1), (9, [3, 9], 3), (1, [8, 8], 0), (64, [0, 9], 32)],
)
def test_a_process_gives_up_connections_until_counts_differ_by_one(board, own, others, surplus):
    for slot, connections in zip(board.slots, [own, *others], strict=True):
        slot.connections, slot.state = connections, State.READY
        slot.beat()
    assert board.surplus(board.slots[0]) == surplus


def test_a_process_that_is_not_ready_gives_up_all_once_another_is(board):
    own, other, _ = board.slots
    own.connections, own.state, other.state = 7, State.STARTING, State.READY
    for surplus in (0, 7):
        assert board.surplus(own) == surplus
        other.beat()
    own.state = State.READY
    other.connections = 7
    assert board.surplus(own) == 0, "its own heartbeat is late after each long iteration of its event loop"


def test_versions_that_cannot_be_read_are_left_out_with_the_reason(tmp_path):
    slot = Board(1).slots[0]
    for name in ("healthy", "victim"):
        write_version(tmp_path, name)
    (tmp_path / "victim" / "1" / "manifest.json").unlink()
    keys = [ModelKey(name, "1") for name in ("healthy", "victim", "lost")]
    versions, unread = read_versions(Settings(model_store=tmp_path), keys, slot)
    assert [version.key for version in versions] == keys[:1]
    assert [key for key, _ in unread] == keys[1:]
    assert all(reason for _, reason in unread)
    assert slot.progress == 3


class Orphan:
    """Notes how a process whose supervisor has died ends."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, started: bool) -> None:
        self.orphaned = False
        self.started = started
        self.events: list[str] = []
        self.ended = threading.Event()
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(os, "kill", lambda pid, sig: self._note(f"{signal.Signals(sig).name} {pid == os.getpid()}"))
        patch.setattr(os, "_exit", self._exit)
        patch.setattr(server_process, "LEAVING_SECONDS", 0.0)

    def _note(self, event: str) -> None:
        folder = "there" if Path(os.environ["TMPDIR"]).exists() else "removed"
        self.events.append(f"{event}, folder {folder}, orphaned {self.orphaned}")

    def _exit(self, status: int) -> None:
        self._note(f"exit {status}")
        self.ended.set()


@pytest.mark.parametrize("started", [True, False])
def test_a_process_whose_supervisor_has_died_ends_in_order_or_at_last_at_once(monkeypatch, tmp_path, started):
    folder = tmp_path / "tagwerk-1"
    (folder / "metrics").mkdir(parents=True)
    orphan = Orphan(monkeypatch, folder, started)
    lifeline, held = os.pipe()
    watch_lifeline(lifeline, cast(Server, orphan))
    assert not orphan.ended.wait(0.05)
    os.close(held)
    assert orphan.ended.wait(30)
    before = "there" if started else "removed"  # a signal to one that has not started ends it at once
    assert orphan.events == [f"SIGTERM True, folder {before}, orphaned True", "exit 1, folder removed, orphaned True"]
    os.close(lifeline)


def test_a_process_has_temporary_files_of_its_own_and_none_of_one_that_was_killed(monkeypatch, tmp_path):
    shared = tmp_path / "removed by a cleaner"
    monkeypatch.setenv("TMPDIR", str(shared))
    monkeypatch.setenv(SHARED_FOLDER, str(shared / "metrics"))
    monkeypatch.setattr(tempfile, "tempdir", "/elsewhere")
    for _ in range(2):
        use_own_temporary_folder(3)
        assert tempfile.gettempdir() == str(shared / "process-3")
        assert list((shared / "process-3").iterdir()) == []
        (shared / "process-3" / "copy").touch()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
    assert (shared / "metrics").is_dir()


def test_a_temporary_folder_of_another_user_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        use_own_temporary_folder(3)
    assert not list(tmp_path.iterdir())


def test_the_fork_server_removes_the_folder_if_no_process_is_there_to_do_so(monkeypatch, tmp_path):
    """The supervisor may have been killed before it asked for one."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    waited: list[float] = []
    monkeypatch.setattr(server_process, "time", SimpleNamespace(sleep=waited.append))
    for name in ("import_tensorflow", "set_process_name", "fork_on_request"):
        monkeypatch.setattr(server_process, name, lambda *arguments, **more: None)
    assert run_fork_server(Settings(), cast(Any, None), cast(Any, None)) == 0
    assert not folder.exists()
    assert waited == [LEAVING_SECONDS], "those that have begun remove it themselves"


def test_a_forked_process_has_a_log_and_a_folder_of_its_own_and_says_if_the_machine_fails_it(monkeypatch, capfd):
    found: list[object] = []

    def run(settings: Settings, number: int, files: Any) -> int:
        found.append(number)
        raise OSError(errno.ENOSPC, "the disk is full")

    for name in ("import_tensorflow", "set_process_name"):
        monkeypatch.setattr(server_process, name, lambda *arguments, **more: None)
    monkeypatch.setattr(server_process, "fork_on_request", lambda requests: 3)
    monkeypatch.setattr(server_process, "use_own_temporary_folder", lambda number: found.append(f"folder {number}"))
    monkeypatch.setattr(server_process, "run_server", run)
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
    assert run_fork_server(Settings(), cast(Any, None), cast(Any, None)) == EXIT_MACHINE
    assert found == ["folder 3", 3]
    cast(Any, logging.root.handlers[0]).stream.close()  # waits until it is written
    assert "tagwerk.server[4]: the process ends: a fault of the machine" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("states", "number", "priority"),
    [
        ("STARTING STARTING", 0, Priority.USUAL),  # a start
        ("STARTING STARTING", 1, Priority.LOW),
        ("READY STARTING", 1, Priority.USUAL),  # replaces one that has died
        ("STARTING READY", 0, Priority.USUAL),
        ("READY READY STARTING", 2, Priority.LOWEST),  # loads new versions beside as many as there should be
        ("STARTING DRAINING", 0, Priority.USUAL),
    ],
)
def test_at_a_start_the_first_process_has_all_cores_and_new_versions_give_way(states, number, priority):
    board = Board(3)
    for slot, state in zip(board.slots, states.split(), strict=False):
        slot.state = State[state]
    assert server_process.loading_priority(board.slots, number, processes=2, hurried=False) is priority
    hurried = Priority.LOW if priority is Priority.LOWEST else priority
    assert server_process.loading_priority(board.slots, number, processes=2, hurried=True) is hurried


@pytest.mark.parametrize(
    ("number", "ready", "order", "wanted"),
    [(0, 0, "abcd", Priority.USUAL), (1, 0, "bacd", Priority.LOW), (2, 2, "abcd", Priority.LOWEST)],
)
def test_at_a_start_the_other_processes_begin_with_the_second_version(
    monkeypatch, tmp_path, number, ready, order, wanted
):
    settings = Settings(model_store=tmp_path, processes=2)
    board = Board(settings.processes + SPARE_SLOTS)
    for name in "abcd":
        write_version(tmp_path, name)
    board.service.write(ServiceStatus(load=tuple((ModelKey(name, "1"), 1.0) for name in "dcbax")))  # x is lost
    for slot in board.slots[: number + 1]:
        slot.state = State.READY if slot in board.slots[:ready] else State.STARTING

    def make_engine(own: Settings, versions: list[ModelVersion], *rest: object, priority: Priority, **more: Any):
        assert ("".join(version.key.name for version in versions), priority) == (order, wanted)
        more["on_progress"](versions[0].key, 0)
        raise InterruptedError

    monkeypatch.setattr(server_process, "set_process_name", lambda name: None)
    monkeypatch.setattr(server_process, "make_engine", make_engine)
    with pytest.raises(InterruptedError):
        run_server(settings, number, cast(Any, SimpleNamespace(board=board.file)))
    assert board.slots[number].progress == len("dcbax") + 1
    assert board.slots[number].status.read().loading == ModelKey(order[0], "1"), "the others know what it loads"
