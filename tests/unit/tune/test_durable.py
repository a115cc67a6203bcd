"""A folder appears whole or not at all: a crash at every call of the file system, a full disk, a failing disk."""

import errno
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tunesmith.core.errors import StorageError
from tunesmith.tune import durable
from tunesmith.tune.checkpoint import newest, save
from tunesmith.tune.durable import damage, write_folder

CALLS = ("mkdir", "open", "write", "fsync", "rename", "rmdir", "unlink")


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"master.a": torch.full((300, 7), float(value)), "empty": torch.zeros(0), "step": torch.tensor(float(value))}


def record(step: int) -> dict[str, Any]:
    return {"schema": 1, "progress": {"step": step, "best_step": None}}


def test_what_is_written_is_a_safetensors_file(tmp_path: Path) -> None:
    size = write_folder(tmp_path / "x", tensors=tensors(3.5), record={"a": [1, "é"]})
    read = load_file(tmp_path / "x" / "tensors.safetensors")
    assert read.keys() == tensors(3.5).keys()
    assert all(torch.equal(read[name], value) for name, value in tensors(3.5).items())
    assert json.loads((tmp_path / "x" / "record.json").read_text()) == {"a": [1, "é"]}
    assert size > 4 * 2100 and damage(tmp_path / "x") is None


def in_child(work: Callable[[], None]) -> int:
    """The exit status of `work` in a forked process."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # the child must never come back into pytest
            os._exit(70)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying_at(count: int) -> None:
    """Make the `count`-th call of the file system from now on the last thing this process does."""
    left = [count]

    def wrapped(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return real(*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))


def test_a_crash_at_any_call_leaves_a_whole_state(tmp_path: Path) -> None:
    deaths = 0
    for count in range(1, 500):
        folder = tmp_path / str(count)
        for step in (1, 2):
            save(folder, tensors(step), record(step), keep=2)

        def work(folder: Path = folder, count: int = count) -> None:
            dying_at(count)
            save(folder, tensors(3), record(3), keep=2)

        status = in_child(work)
        state = newest(folder)
        assert state is not None and state.step in (2, 3) and not state.skipped
        assert torch.equal(state.tensors()["master.a"], tensors(state.step)["master.a"])
        if status == 0:
            break
        deaths += 1
        save(folder, tensors(4), record(4), keep=2)
        names = {path.name for path in folder.iterdir()}
        assert names in ({"step-00000002", "step-00000004"}, {"step-00000003", "step-00000004"}), "rubbish is left"
    assert deaths >= 20 and state.step == 3


def test_a_crash_while_a_state_is_written_again_leaves_it_or_its_like(tmp_path: Path) -> None:
    for count in range(1, 500):
        folder = tmp_path / str(count)
        save(folder, tensors(1), record(1), keep=1)

        def work(folder: Path = folder, count: int = count) -> None:
            dying_at(count)
            save(folder, tensors(2), record(1), keep=1)

        status = in_child(work)
        state = newest(folder)
        assert state is not None and state.step == 1 and not state.skipped
        assert any(torch.equal(state.tensors()["master.a"], tensors(value)["master.a"]) for value in (1, 2))
        save(folder, tensors(3), record(2), keep=1)
        assert {path.name for path in folder.iterdir()} == {"step-00000002"}, "rubbish is left"
        if status == 0:
            break
    assert count >= 20


def test_what_a_process_of_the_same_number_left_is_no_obstacle(tmp_path: Path) -> None:
    write_folder(tmp_path / "best", tensors=tensors(1), record={"step": 1}, sync=False)
    shutil.copytree(tmp_path / "best", tmp_path / f"best.old-{os.getpid()}")
    write_folder(tmp_path / "best", tensors=tensors(2), record={"step": 2}, sync=False)
    assert json.loads((tmp_path / "best" / "record.json").read_text()) == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_rename_that_fails_puts_the_older_state_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, tensors(1), record(1), keep=1)
    rename = os.rename

    def fails_to_publish(source: Path, target: Path) -> None:
        if ".tmp-" in source.name:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(durable.os, "rename", fails_to_publish)
    with pytest.raises(StorageError, match="Input/output error"):
        save(tmp_path, tensors(2), record(1), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert damage(tmp_path / "step-00000001") is None


@pytest.mark.skipif(sys.platform != "linux", reason="limits on the size of files as Linux has them")
def test_a_full_disk_is_named_and_the_state_before_is_whole(tmp_path: Path) -> None:
    save(tmp_path, tensors(1), record(1), keep=2)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        try:
            save(tmp_path, tensors(2), record(2), keep=2)
        except StorageError as error:
            text = str(error)
            os._exit(error.exit_code if "8,404 bytes are needed" in text and "step-00000002" in text else 1)

    assert in_child(work) == 74
    state = newest(tmp_path)
    assert state is not None and state.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    save(tmp_path, tensors(2), record(2), keep=2)
    assert (newest(tmp_path) or state).step == 2


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_failing_disk_is_an_error_of_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    save(tmp_path, tensors(1), record(1), keep=2)

    def fails(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable.os, call, fails)
    with pytest.raises(StorageError, match="Input/output error") as caught:
        save(tmp_path, tensors(2), record(2), keep=2)
    monkeypatch.undo()
    assert caught.value.code == "TS-CKPT-010"
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_many_saves_leave_no_files_and_no_descriptors_behind(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for step in range(1, 60):
        save(tmp_path, tensors(step), record(step), keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:08d}" for step in (57, 58, 59)]
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before
