"""A folder appears whole or not at all, whatever a failing disk does. Crashes and full disks are figures T2 and T3."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reliability.crash_points import record, tensors
from tunesmith.core.errors import StorageError
from tunesmith.tune import durable
from tunesmith.tune.checkpoint import save
from tunesmith.tune.durable import damage, write_folder


def test_what_is_written_is_a_safetensors_file(tmp_path: Path) -> None:
    size = write_folder(tmp_path / "x", tensors=tensors(3.5), record={"a": [1, "é"]})
    read = load_file(tmp_path / "x" / "tensors.safetensors")
    assert read.keys() == tensors(3.5).keys()
    assert all(torch.equal(read[name], value) for name, value in tensors(3.5).items())
    assert json.loads((tmp_path / "x" / "record.json").read_text()) == {"a": [1, "é"]}
    assert size > 4 * 2100 and damage(tmp_path / "x") is None


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
