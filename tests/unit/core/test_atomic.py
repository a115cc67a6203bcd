"""A file is replaced whole or stays as it was, and no draft is left beside it."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tunesmith.core import atomic
from tunesmith.core.atomic import replacing


def test_new_content_takes_the_place_when_the_block_ends_well(tmp_path: Path) -> None:
    place = tmp_path / "rows.csv"
    place.write_text("old")
    with replacing(place) as file:
        file.write("añ\r\nb\n")
        assert place.read_text() == "old"
    assert place.read_bytes() == "añ\r\nb\n".encode()
    assert list(tmp_path.iterdir()) == [place]


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    with replacing(tmp_path / "weights", "wb") as file:
        file.write(b"\x00\xff\r\n")
    assert (tmp_path / "weights").read_bytes() == b"\x00\xff\r\n"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ValueError, OSError])
def test_a_block_that_breaks_off_leaves_the_old_file_and_no_draft(tmp_path: Path, ending: type[BaseException]) -> None:
    place = tmp_path / "model.bin"
    place.write_text("old")
    with pytest.raises(ending), replacing(place) as file:
        file.write("half of the n")
        raise ending
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_stays_a_link_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(tmp_path / "pipe") as file:
        file.write("through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_the_standard_output_of_a_pipeline_is_written_into(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    (tmp_path / "out").symlink_to(f"/dev/fd/{theirs}")  # as /dev/stdout is a link to a name that is no path
    with replacing(tmp_path / "out") as file:
        file.write("through")
    os.close(theirs)
    assert os.read(ours, 100) == b"through"
    os.close(ours)


def test_links_in_a_circle_are_the_callers_to_word(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"), replacing(tmp_path / "a"):
        raise AssertionError("nothing to write to")


def test_the_name_is_made_durable_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[tuple[Path, bool]] = []
    monkeypatch.setattr(atomic, "sync", lambda folder: there.append((folder, (folder / "rows.csv").exists())))
    with replacing(tmp_path / "rows.csv") as file:
        file.write("new")
    assert there == [(tmp_path.resolve(), True)]


def test_a_folder_that_cannot_be_synced_does_not_undo_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(folder))

    monkeypatch.setattr(atomic, "sync", fails)
    with replacing(tmp_path / "rows.csv") as file:
        file.write("new")
    assert (tmp_path / "rows.csv").read_text() == "new"


@pytest.mark.parametrize("name", [".", "folder"])
def test_a_folder_is_no_place_for_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), replacing(Path(name)):
        raise AssertionError("nothing to write to")


def test_a_missing_folder_is_the_callers_to_word(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "absent" / "file"):
        raise AssertionError("nothing to write to")


def test_a_character_utf8_cannot_hold_is_refused_or_replaced_as_asked(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError), replacing(tmp_path / "strict") as file:
        file.write("\ud800")
    with replacing(tmp_path / "page", errors="replace") as file:
        file.write("\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    assert (tmp_path / "page").read_text() == "?"
