"""TensorBoard: curves in event files of the run folder; `tensorboard --logdir runs` shows all runs side by side.

When to use it: curves on this machine, without an account and without a service.
Cost: some 100 bytes a number. Nothing is sent anywhere, and neither TensorFlow nor torch is imported for it.
Relations: wandb and mlflow keep the configuration as values to sort by; here it is a text.
Going on: event files cannot be changed. A mark in the next file tells TensorBoard which steps to forget, and it does.
"""

import json
import time
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core.tracker import Ending, Record, TrackedRun, Tracker, Tracking, charted, last_valid_step


class Tensorboard(Tracker):
    """Event files; those of silver pairs lie in a folder below."""

    needs: ClassVar[tuple[str, ...]] = ("tensorboard",)

    folder: str = "tensorboard"
    """Where the event files go; relative to the run folder."""

    def begin(self, run: TrackedRun) -> Tracking:
        """Write down the configuration."""
        folder = run.folder / Path(self.folder).expanduser()
        board = _Board(folder)
        if not any(folder.glob("events.*")):
            table = json.dumps(run.facts, ensure_ascii=False, indent=2)
            board.write("", [_text("configuration", f"```json\n{table}\n```")], step=0)
        return board


class _Board(Tracking):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Any] = {}
        self.step = 0

    def note(self, record: Record) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        lesson = "silver" if record.get("lesson") == "silver" else ""
        step = record.get("step")
        valid = last_valid_step(record)
        if valid is not None:
            self.write(lesson, [], step=valid + 1, session_log=SessionLog(status=SessionLog.START))
        if not isinstance(step, int):
            return
        self.step = step
        if numbers := charted(record):
            self.write(lesson, [_number(name.removeprefix("silver/"), x) for name, x in numbers.items()], step=step)
        if record["event"] in ("evaluated", "saved", "stopped"):
            self.files[lesson].flush()

    def finish(self, ending: Ending) -> None:
        found = [_number(name, x) for name, x in ending.numbers.items()]
        found += [_text("ending", f"{ending.state}: {ending.reason}"), _text("cost", json.dumps(dict(ending.cost)))]
        self.write("", found, step=self.step)
        for file in self.files.values():
            file.close()

    def write(self, lesson: str, values: list[Any], *, step: int, session_log: Any = None) -> None:  # noqa: ANN401
        """Add one event to the file of a lesson."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if lesson not in self.files:
            self.files[lesson] = EventFileWriter(str(self.folder / lesson))
        what = {"session_log": session_log} if session_log else {"summary": Summary(value=values)}
        self.files[lesson].add_event(Event(wall_time=time.time(), step=step, **what))


def _number(name: str, value: float) -> Any:  # noqa: ANN401 - a message of a library without types
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=name, simple_value=value)


def _text(name: str, text: str) -> Any:  # noqa: ANN401 - a message of a library without types
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    plugin = SummaryMetadata.PluginData(plugin_name="text")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode("utf-8", "backslashreplace")], tensor_shape=shape)
    return Summary.Value(tag=name, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
