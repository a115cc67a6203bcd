"""Every kind of bad row: the line, the column, what is wrong, and a fix."""

import json
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.prepare.reading import detect, made, read

GOOD = {"text": "Anna lives in Rome", "entities": [{"start": 0, "end": 4, "label": "PER"}]}


def faults(path: Path, **given) -> list[DataError]:
    """The faults of every bad row; each must name a fix."""
    finding = detect(path, given=given)
    found: list[DataError] = []
    rows = list(finding.format.read(finding.path, reject=lambda error, row: found.append(error)))
    assert rows, "the good rows are read all the same"
    assert all(error.fix and error.place and error.place.line for error in found)
    return found


def only(path: Path, **given) -> tuple[str, int | None, int | None]:
    (error,) = faults(path, **given)
    assert error.place is not None
    return error.code, error.place.line, error.place.column


def jsonl(tmp_path: Path, *lines: str, good: object = None) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes("\n".join([json.dumps(good or GOOD)] * 25 + list(lines)).encode("utf-8", "surrogatepass"))
    return path


@pytest.mark.parametrize(
    "spans, code",
    [
        ([{"start": 14, "end": 19, "label": "LOC"}], "TS-DATA-022"),
        ([{"start": -4, "end": 3, "label": "LOC"}], "TS-DATA-022"),
        ([{"start": 4, "end": 0, "label": "PER"}], "TS-DATA-023"),
        ([{"start": 0, "end": 10, "label": "A"}, {"start": 5, "end": 12, "label": "B"}], "TS-DATA-024"),
        ([{"start": 3, "end": 3, "label": "PER"}], "TS-DATA-025"),
        ([{"start": 4, "end": 5, "label": "PER"}], "TS-DATA-025"),
        ([{"start": 0, "end": 4, "label": "PER", "text": "Rome"}], "TS-DATA-026"),
        ([{"start": "0", "end": 4, "label": "PER"}], "TS-DATA-027"),
        ([{"start": 0, "end": 4}], "TS-DATA-027"),
        ("PER", "TS-DATA-027"),
        (None, "TS-DATA-016"),
    ],
)
def test_spans(tmp_path, spans, code):
    line = json.dumps({"text": "Anna lives in Rome", "entities": spans})
    assert only(jsonl(tmp_path, line), entities="entities") == (code, 26, line.index('"entities"') + 1)


def test_overlaps_may_keep_the_longest(tmp_path):
    spans = [{"start": 0, "end": 4, "label": "A"}, {"start": 0, "end": 10, "label": "B"}]
    path = jsonl(tmp_path, json.dumps({"text": "Anna lives in Rome", "entities": spans}))
    finding = detect(path, given={"overlaps": "longest"})
    *_, last = read(path, finding.format)
    assert [span.label for span in last.gold] == ["B"]


@pytest.mark.parametrize(
    "line, code, column",
    [
        ('{"text": "a", "entities": NaN}', "TS-DATA-019", 27),
        ('{"text": "a", "entities": [], "text": "b"}', "TS-DATA-020", 31),
        ('{"text": ' + "[" * 80 + "]" * 80 + "}", "TS-DATA-020", 1),
        ('{"text": ' + "[" * 100_000 + "}", "TS-DATA-020", 1),
        (r'{"text": "a \ud800 b", "entities": []}', "TS-DATA-020", 1),
        (r'{"text": "a \u0000 b", "entities": []}', "TS-DATA-013", 2),
        ('{"text": "a \x00 b", "entities": []}', "TS-DATA-013", 13),
        ('{"text": "a", "entities": []', "TS-DATA-019", 29),
        ('["a"]', "TS-DATA-021", 1),
        ('{"text": 5, "entities": []}', "TS-DATA-021", 2),
        ('{"text": " ", "entities": []}', "TS-DATA-015", 2),
        ('{"entities": []}', "TS-DATA-015", 1),
        ('{"text": "a", "entities": 1' + "0" * 5000 + "}", "TS-DATA-020", 1),
    ],
)
def test_json(tmp_path, line, code, column):
    assert only(jsonl(tmp_path, line)) == (code, 26, column)


def test_bytes_that_are_not_utf_8(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [json.dumps({"text": f"Zürich ist schön {i}", "label": "ab"[i % 2]}, ensure_ascii=False) for i in range(25)]
    path.write_bytes("\n".join(rows).encode() + b'\n{"text": "caf\xe9", "label": "a"}\n')
    assert only(path) == ("TS-DATA-014", 26, 14)


def table(tmp_path: Path, *rows: str, end: str = "\n", name: str = "a.csv") -> Path:
    path = tmp_path / name
    good = [f"this is text {i},{'ab'[i % 2]}" for i in range(10)]
    path.write_bytes(end.join(["text,label", *good, *rows, "the last text,a", ""]).encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_rows_at_their_line_and_column_whatever_ends_the_lines(tmp_path, end):
    quoted = f'"first line{end}second line, with ""quotes""",a'
    path = table(tmp_path, quoted, "one,two,three", "alone", quoted, ",a", "no label,", end=end)
    found = [(error.code, error.place.line, error.place.column) for error in faults(path) if error.place]
    assert found == [
        ("TS-DATA-010", 14, 9),
        ("TS-DATA-010", 15, 6),
        ("TS-DATA-015", 18, 1),
        ("TS-DATA-016", 19, 10),
    ]


def test_a_column_behind_a_quoted_line_break_is_on_the_later_line(tmp_path):
    path = table(tmp_path, '"one\ntwo",')
    assert only(path) == ("TS-DATA-016", 13, 6)


def test_quotes_that_never_close_cost_one_row(tmp_path):
    path = table(tmp_path, '"never closed,a', "a good row,b", 'also "fine" inside,b', '"closed" too early,a')
    finding = detect(path, given={"quoting": True})
    found: list[DataError] = []
    rows = list(finding.format.read(path, reject=lambda error, row: found.append(error)))
    assert [(e.code, e.place.line, e.place.column) for e in found if e.place] == [
        ("TS-DATA-011", 12, 1),
        ("TS-DATA-011", 15, 1),
    ]
    assert [row.text for row in rows[-3:]] == ["a good row", 'also "fine" inside', "the last text"]


def test_a_field_of_200_000_characters_is_read_and_one_of_a_million_is_not(tmp_path):
    path = table(tmp_path, f'"{"x" * 200_000}",a', f"{'y' * 1_000_001},b")
    assert only(path)[:2] == ("TS-DATA-012", 13)
    finding = detect(path)
    rows = list(finding.format.read(path, reject=lambda error, row: None))
    assert max(len(row.text) for row in rows) == 200_000


def test_nul_and_byte_order_mark(tmp_path):
    assert only(table(tmp_path, "a \0 b,a")) == ("TS-DATA-013", 12, 1)
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbf" + table(tmp_path).read_bytes())
    assert next(iter(read(path, detect(path).format))).text == "this is text 0"


def test_unknown_labels_where_a_label_set_is_given(tmp_path):
    path = table(tmp_path, "another text,c")
    assert only(path, labels=["a", "b"]) == ("TS-DATA-017", 12, 14)
    tagged = tmp_path / "a.conll"
    tagged.write_text("Anna B-PER\nsings O\n\nRome B-LOC\n\n")
    assert only(tagged, labels=["PER"]) == ("TS-DATA-017", 4, 6)


def test_an_id_twice(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,label\n1,a first text,a\n2,a second text,b\n1,a third text,a\n")
    assert only(path, id="id") == ("TS-DATA-018", 4, 1)
    assert {row.id for row in read(path, detect(path, given={"id": ""}).format)} == {"a.csv:2", "a.csv:3", "a.csv:4"}


def test_score_time_and_weight(tmp_path):
    path = tmp_path / "a.csv"
    good = "".join(f"text {i} here,other {i} here,{i}.5,2024-01-{i:02},1\n" for i in range(1, 20))
    path.write_text(
        f"sentence1,sentence2,score,date,weight\n{good}a b,c d,high,2024-01-01,1\na b,c d,1.5,soon,1\n"
        "a b,c d,1.5,2024-01-01,-1\na b,c d,,2024-01-01,1\n"
    )
    found = faults(path, time="date", weight="weight", score="score")
    assert [(e.code, e.place.line) for e in found if e.place] == [
        ("TS-DATA-032", 21), ("TS-DATA-034", 22), ("TS-DATA-035", 23), ("TS-DATA-016", 24),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "tags, scheme, code, line",
    [
        ("B-PER O I-PER", "IOB2", "TS-DATA-029", 6),
        ("B-PER I-LOC O", "IOB2", "TS-DATA-029", 5),
        ("B-PER M-PER E-PER", "IOB2", "TS-DATA-028", 5),
        ("B-PER O O", "BIOES", "TS-DATA-029", 5),
        ("O B-PER I-PER", "BIOES", "TS-DATA-029", 6),
        ("O E-PER O", "BMES", "TS-DATA-029", 5),
        ("S-PER I-PER O", "BMES", "TS-DATA-028", 5),
        ("B-PER PER O" + " O" * 60, "IOB2", "TS-DATA-028", 5),
    ],
)
def test_tags_against_their_scheme(tmp_path, tags, scheme, code, line):
    path = tmp_path / "a.conll"
    path.write_text("x O\ny O\n\n" + "".join(f"w {tag}\n" for tag in tags.split()))
    assert only(path, scheme=scheme) == (code, line, 3)


def test_illegal_transitions_can_be_read_as_conlleval_reads_them(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("a O\nb I-PER\nc I-LOC\nd B-LOC\ne I-LOC\nf B-LOC\n\n")
    finding = detect(path, given={"transitions": "repair", "scheme": "IOB2"})
    (row,) = read(path, finding.format)
    assert [(row.text[span.start : span.end], span.label) for span in row.gold] == [
        ("b", "PER"), ("c", "LOC"), ("d e", "LOC"), ("f", "LOC"),
    ]  # fmt: skip


def test_conll_lines(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# id 1\nAnna B-PER\nsings O\n\nlonely\nO O\n\n\0 O\nRome B-LOC\n\n# id 8\nBob B-PER\n")
    found = [(error.code, error.place.line) for error in faults(path) if error.place]
    assert found == [("TS-DATA-010", 5), ("TS-DATA-013", 8)]
    rows = detect(path).format.read(path, reject=lambda error, row: None)
    assert [(row.text, row.source.line) for row in rows] == [("Anna sings", 2), ("Bob", 12)]


def test_words_and_tags_of_different_number(tmp_path):
    path = tmp_path / "a.jsonl"
    good = json.dumps({"tokens": ["Anna", "sings"], "tags": ["B-PER", "O"]})
    bad = [
        '{"tokens": ["a", "b"], "tags": ["O"]}',
        '{"tokens": ["a", ""], "tags": ["O", "O"]}',
        '{"tokens": [], "tags": []}',
    ]
    path.write_text("\n".join([good] * 20 + bad))
    assert [error.code for error in faults(path)] == ["TS-DATA-030", "TS-DATA-015", "TS-DATA-015"]


def test_a_format_by_hand_looks_before_it_reads(tmp_path):
    path = table(tmp_path)
    assert len(list(read(path, made("csv", {})))) == 11
