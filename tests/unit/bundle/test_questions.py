"""Rows of every form become questions at their place; bad ones are named by file and line."""

import pytest

from tunesmith.bundle.questions import Columns, Questions, file_lines, kind_of
from tunesmith.core.errors import DataError, MissingInputError, UsageError


def read(kind, text, *, pairs=False, reject=None, columns=None):
    reader = Questions(kind, file="f", columns=columns or Columns(), pairs=pairs, reject=reject)
    found = [question.example for question in reader.read(text.splitlines(keepends=True))]
    return [(item.id, item.text, item.pair, item.source.line) for item in found]


def test_plain_lines_keep_their_place():
    assert read("text", "a\n\n b \r\nc") == [
        ("1", "a", None, 1),
        ("2", "", None, 2),
        ("3", " b ", None, 3),
        ("4", "c", None, 4),
    ]
    assert read("text", "") == []


def test_pairs_in_plain_lines_are_parted_by_a_tab():
    assert read("text", "a\tb\n\nc\td", pairs=True) == [("1", "a", "b", 1), ("2", "", "", 2), ("3", "c", "d", 3)]
    for bad in ("a", "a\t", "a\t "):
        with pytest.raises(DataError) as caught:
            read("text", f"x\ty\n{bad}", pairs=True)
        assert caught.value.place.line == 2


def test_jsonl_by_keys():
    rows = '{"text":"a","id":7}\n\n{"text":"","pair":null}\n{"text":"b","id":true,"label":"x"}\n'
    assert read("jsonl", rows) == [("7", "a", None, 1), ("3", "", None, 3), ("4", "b", None, 4)]
    columns = Columns(text="body", pair="other", id="key")
    assert read("jsonl", '{"body":"a","other":"b","key":"k"}', pairs=True, columns=columns) == [("k", "a", "b", 1)]


@pytest.mark.parametrize(
    "row",
    [
        "{",
        "[]",
        '{"txt":"a"}',
        '{"text":3}',
        '{"text":NaN}',
        '{"text":"\\ud800"}',
        '{"text":"a","text":"b"}',
        "[" * 9999,
    ],
)
def test_a_bad_json_row_is_named_or_handed_over(row):
    text = f'{{"text":"good"}}\n{row}\n{{"text":"after"}}\n'
    with pytest.raises(DataError) as caught:
        read("jsonl", text)
    assert str(caught.value.place) == "f:2"
    assert "--skip-bad" in caught.value.fix
    handed = []
    kept = read("jsonl", text, reject=lambda error, raw: handed.append((error.place.line, raw)))
    assert [item[1] for item in kept] == ["good", "after"]
    assert handed == [(2, row)]


def test_csv_with_line_breaks_in_fields():
    rows = 'id,text,pair\n1,"a\nb",\n2,"say ""hi""",x\n3,,\n'
    assert read("csv", rows) == [("1", "a\nb", None, 2), ("2", 'say "hi"', None, 4), ("3", "", None, 5)]
    assert read("tsv", "text\tpair\na\tb", pairs=True) == [("2", "a", "b", 2)]
    assert read("csv", "\ufefftext\na\n") == [("2", "a", None, 2)]
    assert len(read("csv", "text\n" + "x" * 200_000)[0][1]) == 200_000


def test_csv_rows_that_cannot_be_read_are_named():
    for bad in ("1,2,3\n", '"open\n'):
        with pytest.raises(DataError) as caught:
            read("csv", f"id,text\n1,a\n{bad}")
        assert caught.value.place.line == 3
    handed = []
    kept = read("csv", "id,text\n1\n2,b\n", reject=lambda error, raw: handed.append(error.place.line))
    assert (len(kept), handed) == (1, [2])


def test_an_id_that_is_not_utf_8_is_a_bad_row():
    rows = "id,text\nx\udcff,a\n2,b\n"
    with pytest.raises(DataError, match="not UTF-8") as caught:
        read("csv", rows)
    assert caught.value.place.line == 2
    handed = []
    kept = read("csv", rows, reject=lambda error, raw: handed.append(raw))
    assert (kept, handed) == ([("2", "b", None, 3)], ["x\udcff,a"])


def test_a_header_without_the_text_says_which_columns_there_are():
    with pytest.raises(UsageError, match="it has: a, b") as caught:
        read("csv", "a,b\n1,2\n")
    assert "--text-column" in caught.value.fix
    with pytest.raises(UsageError, match="'pair'"):
        read("csv", "text\na\n", pairs=True)


def test_files_by_ending_and_encoding(tmp_path):
    assert [kind_of(tmp_path / name) for name in ("a.CSV", "a.tsv", "a.jsonl", "a.txt", "a")] == [
        "csv",
        "tsv",
        "jsonl",
        "text",
        "text",
    ]
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeff北京\r\nb".encode())
    assert [line.rstrip() for line in file_lines(file, None)] == ["北京", "b"]
    file.write_bytes("我在北京上海工作，请帮助我".encode("gb18030"))
    assert list(file_lines(file, "gb18030")) == ["我在北京上海工作，请帮助我"]
    file.write_bytes(b"good\nbad \xff byte\n" + b"good\n" * 50)
    with pytest.raises(DataError) as caught:
        list(Questions("text", file="a.txt", columns=Columns(), pairs=False).read(file_lines(file, "utf-8")))
    assert caught.value.place.line == 2
    with pytest.raises(MissingInputError):
        list(file_lines(tmp_path / "none", None))
