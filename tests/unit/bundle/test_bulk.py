"""The file of answers: there whole or not at all."""

import io

import pytest

from tunesmith.bundle.bulk import output


def test_a_reader_who_leaves_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(BrokenPipeError), output(tmp_path / "rejects.jsonl", io.StringIO()):
        raise BrokenPipeError
    assert not list(tmp_path.iterdir())
