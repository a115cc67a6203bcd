"""Offline runs, read back as wandb's own messages."""

import importlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.rooms import TRACKERS


@pytest.fixture(autouse=True)
def _needed(need: Callable[[str], None]) -> None:
    need("wandb")


def read(file: Path) -> list[Any]:
    """The records of an offline run: messages in a log of LevelDB's form (blocks of 32 KiB, records in pieces)."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    found, pieces, at = [], b"", 7
    while at < len(data):
        if 32768 - at % 32768 < 7:  # no room for a head: the rest of the block is empty
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        pieces += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            found.append(messages.Record())
            found[-1].ParseFromString(pieces)
            pieces = b""
    return found


def history(file: Path) -> list[dict[str, Any]]:
    rows = [record.history for record in read(file) if record.WhichOneof("record_type") == "history"]
    return [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in row.item} for row in rows]


def test_a_run_is_kept_offline_in_its_folder(told: Any, elsewhere: Path) -> None:
    silver = told.steps(1, 2, lesson="silver")
    assert told({"kind": "wandb"}, [*silver, told.started(0), *told.steps(1, 3), told.scored(3, 0.25)]) is None
    (file,) = told.folder.glob("wandb/offline-run-*/run-0123456789abcdef.wandb")
    rows = history(file)
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert [row["silver/step"] for row in rows if "silver/train/loss" in row] == [1, 2]
    assert [row["dev/span_f1"] for row in rows if "dev/span_f1" in row] == [0.25]
    whole = b"".join(record.SerializeToString() for record in read(file))
    assert b"final/test/span_f1/low" in whole and b"train.keep" in whole and b"b" * 64 in whole
    assert not told.connections()
    assert not list(elsewhere.iterdir())


def test_a_resumed_run_has_the_same_id(told: Any) -> None:
    assert told({"kind": "wandb"}, told.steps(1, 4), ending=told.killed) is None
    assert told({"kind": "wandb"}, told.steps(3, 6), resumed=True) is None
    files = sorted(told.folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert [file.name for file in files] == ["run-0123456789abcdef.wandb"] * 2
    assert [row["step"] for file in files for row in history(file)] == [1, 2, 3, 4, 3, 4, 5, 6]


def test_a_switch_of_the_environment_does_not_bring_it_online(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_DIR", "/nonexistent")
    assert told({"kind": "wandb"}, told.steps(1, 2)) is None
    assert list(told.folder.glob("wandb/offline-run-*"))
    assert not told.connections()


def test_a_service_that_cannot_be_reached_is_given_up_in_time(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.invalid")
    assert TRACKERS.make({"kind": "wandb"}, key="x").as_table()["online"] is False
    fault = told({"kind": "wandb", "online": True, "wait": 4.0}, told.steps(1, 2))
    assert fault is not None
    assert told.connections(), "the trap for connections works"
