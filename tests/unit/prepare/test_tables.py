"""Parquet and Excel: the extra `data`."""

import importlib
import json
from datetime import date

import pytest

from tunesmith.core.errors import ConfigError, DataError, MissingExtraError
from tunesmith.prepare.reading import detect, read


def parquet(path, columns, metadata=None):
    pyarrow = pytest.importorskip("pyarrow", reason='pip install "tunesmith[data]"')
    table = pyarrow.table(columns)
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    importlib.import_module("pyarrow.parquet").write_table(table, path)
    return path


def workbook(path, rows, formats=()):
    openpyxl = pytest.importorskip("openpyxl", reason='pip install "tunesmith[data]"')
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, shown in formats:
        book.active[cell].number_format = shown
    book.save(path)
    return path


def rows_of(path, **given):
    finding = detect(path, given=given)
    return list(read(finding.path, finding.format))


def test_parquet_with_lists_of_labels_and_names_from_the_schema(tmp_path):
    columns = {"text": ["one text here", "two texts here"], "labels": [[0], [0, 1]]}
    assert [row.gold for row in rows_of(parquet(tmp_path / "a.parquet", columns))] == [("0",), ("0", "1")]
    names = {"info": {"features": {"labels": {"feature": {"names": ["joy", "fear"], "_type": "ClassLabel"}}}}}
    assert rows_of(parquet(tmp_path / "b.parquet", columns, names))[1].gold == ("joy", "fear")


def test_parquet_rows_are_numbered_and_bad_ones_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"text": ["one text here", None, "three texts"], "label": ["a", "b", None]})
    finding = detect(path)
    found = []
    assert len(list(finding.format.read(path, reject=lambda error, row: found.append(error)))) == 1
    assert [(error.code, error.place.line) for error in found] == [("TS-DATA-015", 2), ("TS-DATA-016", 3)]


def test_damaged_tables_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 and nothing else")
    for name in ("a.parquet", "a.xlsx"):
        with pytest.raises(DataError, match="damaged") as caught:
            detect(tmp_path / name)
        assert caught.value.code == "TS-DATA-037"


def test_excel_shows_what_the_sheet_shows(tmp_path):
    rows = [
        ("date", "code", "text", "label"),
        (date(2024, 3, 1), 430, "the first text", 1),
        (None, 7, 12345, 0),
        (None,) * 4,
    ]
    path = workbook(tmp_path / "a.xlsx", rows, [("B2", "000000"), ("B3", "000000")])
    first, second = rows_of(path, time="")
    assert (first.text, first.gold, first.source.line, second.text) == ("the first text", "1", 2, "12345")
    assert [row.gold for row in rows_of(path, label="code", time="")] == ["000430", "000007"]


def test_excel_faults_have_sheet_coordinates(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [("text", "label"), ("a text here", "x"), ("", "y"), ("another text", None)])
    finding = detect(path)
    found = []
    list(finding.format.read(path, reject=lambda error, row: found.append(error)))
    assert [(error.place.line, error.place.column) for error in found] == [(3, 1), (4, 2)]
    with pytest.raises(ConfigError, match="no sheet 'other'"):
        detect(path, given={"sheet": "other"})


@pytest.mark.parametrize("name, magic", [("a.parquet", b"PAR1"), ("a.xlsx", b"PK\x03\x04")])
def test_a_missing_extra_is_exit_69_with_the_line_to_type(tmp_path, monkeypatch, name, magic):
    (tmp_path / name).write_bytes(magic)

    def absent(module):
        raise ImportError(module)

    real = importlib.import_module
    hidden = ("pyarrow.parquet", "openpyxl")
    monkeypatch.setattr(importlib, "import_module", lambda module: absent(module) if module in hidden else real(module))
    with pytest.raises(MissingExtraError) as caught:
        detect(tmp_path / name)
    assert caught.value.exit_code == 69 and caught.value.fix == 'pip install "tunesmith[data]"'
