import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.core.errors import BusyError, CannotCreateError, MissingInputError, StorageError
from tunesmith.run.folder import opened, read_json, write_json, write_lines
from tunesmith.run.lock import locked


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(CannotCreateError):
        opened(tmp_path, resume=False)
    file = tmp_path / "thesis.txt"
    with pytest.raises(CannotCreateError):
        opened(file, resume=False)
    assert file.read_text(encoding="utf-8") == "years of work"


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        opened(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_a_file_is_old_or_new_and_never_a_part(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_json(file, {"a": 1})

    def interrupted() -> object:
        yield "a line"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lines(file, interrupted())  # type: ignore[arg-type]
    assert read_json(file) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_json(file, {"a": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match=r"report\.json") as caught:
            write_lines(file, ["x" * 9000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 74
    assert read_json(file) == {"a": 1}


def test_a_lock_has_one_holder_and_dies_with_it(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from tunesmith.run.lock import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=str(holder.pid)), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass


def test_json_is_readable_text(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"label": "退款"})
    assert "退款" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_bytes()) == {"label": "退款"}
