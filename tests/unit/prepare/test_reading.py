"""Detection: format, task, columns, header, delimiter, encoding, scheme; what is given wins; refusals name the fix."""

import json
from pathlib import Path

import pytest

from tunesmith.core.errors import CannotCreateError, ConfigError, DataError, MissingInputError, TunesmithError
from tunesmith.core.example import Example, LabelAndSpans, Span
from tunesmith.core.format import FORMATS
from tunesmith.prepare.reading import Rejects, detect, divided, made, read


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def examples(path: Path, **given) -> list[Example]:
    finding = detect(path, given=given)
    return list(read(finding.path, finding.format))


REVIEWS = [("The room was clean and quiet", "good"), ("Nobody answered the phone", "bad"), ("Great breakfast!", "good")]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in REVIEWS * 4)


def test_csv_with_header(tmp_path):
    finding = detect(written(tmp_path, "a.csv", CSV))
    assert (finding.task, finding.format.kind()) == ("text_classification", "csv")
    rows = list(read(finding.path, finding.format))
    assert [(row.text, row.gold) for row in rows[:3]] == REVIEWS
    assert (rows[0].id, rows[0].source.line) == ("a.csv:2", 2)
    assert any("header" in note for note in finding.notes)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiter_and_line_end_are_found(tmp_path, delimiter, end):
    content = CSV.replace(",", delimiter).replace("\n", end)
    rows = examples(written(tmp_path, "a.csv", content))
    assert [(row.text, row.gold) for row in rows[:3]] == REVIEWS
    assert [row.source.line for row in rows] == list(range(2, 14))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings(tmp_path, encoding):
    content = "text,label\n" + "这家酒店的早餐很好，房间也很干净,好评\n服务态度太差了，不会再来,差评\n" * 20
    rows = examples(written(tmp_path, "a.csv", content.encode(encoding)))
    assert (rows[1].text, rows[1].gold) == ("服务态度太差了，不会再来", "差评")


def test_latin_1_is_told_from_chinese_and_from_damaged_utf_8(tmp_path):
    content = "text,label\n" + "Un café très agréable,bon\nL'hôtel était fermé,mauvais\n" * 20
    finding = detect(written(tmp_path, "a.csv", content.encode("latin-1")))
    assert finding.format.options()["encoding"] == "latin-1"
    assert next(iter(read(finding.path, finding.format))).text == "Un café très agréable"
    damaged = content.encode() + b"caf\xe9 noir,bon\n"
    path = written(tmp_path, "b.csv", damaged)
    with pytest.raises(DataError, match="0xe9 is not UTF-8") as caught:
        examples(path)
    assert caught.value.place is not None and caught.value.place.line == 42


def test_headerless_files_by_what_their_columns_hold(tmp_path):
    pairs = "".join(f'How do I reset {i}?,"Where, please, is reset {i}?",{i % 5}.{i % 4}\n' for i in range(40))
    finding = detect(written(tmp_path, "pairs.csv", pairs))
    assert (finding.task, finding.format.options()["score"]) == ("pair_matching", "3")
    first = next(iter(read(finding.path, finding.format)))
    assert (first.text, first.pair, first.gold) == ("How do I reset 0?", "Where, please, is reset 0?", 0.0)
    topics = "".join(
        f'"{i % 3 + 1}","Title {i}","A much longer description of the story number {i}"\n' for i in range(40)
    )
    written(tmp_path, "classes.txt", "World\nSports\nBusiness\n")
    rows = examples(written(tmp_path, "topics.csv", topics))
    assert rows[0].text == "Title 0 A much longer description of the story number 0"
    assert [row.gold for row in rows[:3]] == ["World", "Sports", "Business"]


def test_jsonl_shapes(tmp_path):
    cases = {
        "label": ({"text": "hello there", "label": "greeting"}, "greeting"),
        "labels": ({"text": "hello there", "labels": ["a", "b"]}, ("a", "b")),
        "entities": (
            {"text": "Anna in Rome", "entities": [{"start": 0, "end": 4, "label": "PER"}]},
            (Span(0, 4, "PER"),),
        ),
        "lists": ({"text": "Anna in Rome", "label": [[8, 12, "LOC"]]}, (Span(8, 12, "LOC"),)),
        "nested": ({"text": "安娜在罗马", "label": {"LOC": {"罗马": [[3, 4]]}}}, (Span(3, 5, "LOC"),)),
        "tags": (
            {"tokens": ["Anna", "in", "Rome"], "tags": ["B-PER", "O", "B-LOC"]},
            (Span(0, 4, "PER"), Span(8, 12, "LOC")),
        ),
        "score": ({"sentence1": "a b", "sentence2": "b c", "score": 2.5}, 2.5),
        "pair": ({"premise": "It rains", "hypothesis": "It is wet", "label": "entailment"}, "entailment"),
    }
    for name, (record, gold) in cases.items():
        path = written(tmp_path, f"{name}.jsonl", f"{json.dumps(record, ensure_ascii=False)}\n\n" * 2)
        rows = examples(path)
        assert [row.gold for row in rows] == [gold, gold], name
        assert [row.source.line for row in rows] == [1, 3]


def test_an_absent_start_is_zero_and_absent_entities_are_none(tmp_path):
    rows = [
        {"userInput": {"text": "6 a.m."}, "labels": [{"slot": "time", "valueSpan": {"endIndex": 6}}]},
        {"userInput": {"text": "hello"}},
    ]
    path = written(tmp_path, "a.json", json.dumps(rows, indent=1))
    assert [row.gold for row in examples(path)] == [(Span(0, 6, "time"),), ()]


def test_conll_words_documents_and_schemes(tmp_path):
    iob1 = "-DOCSTART- -X- O\n\nAnna NNP I-PER\nBob NNP B-PER\nsings VB O\n\n-DOCSTART- -X- O\n\nRome NNP I-LOC\n"
    rows = examples(written(tmp_path, "a.conll", iob1))
    assert rows[0].gold == (Span(0, 4, "PER"), Span(5, 8, "PER"))
    assert (rows[0].text, rows[0].words) == ("Anna Bob sings", ((0, 4), (5, 8), (9, 14)))
    assert (rows[0].group, rows[1].group, rows[1].source.line) == ("a.conll#1", "a.conll#2", 9)
    tabs = "Anna\tB-PER\nSmith\tI-PER\n\t\nin\tO\nRome\tB-LOC\n"
    assert [row.gold for row in examples(written(tmp_path, "b.conll", tabs))] == [
        (Span(0, 10, "PER"),),
        (Span(3, 7, "LOC"),),
    ]


def test_conll_characters_bmes_and_glued_digits(tmp_path):
    bmes = "王 B-NAME\n小 M-NAME\n明 E-NAME\n来 O\n京 S-LOC\n\n" * 3
    finding = detect(written(tmp_path, "a.bmes", bmes))
    assert finding.format.options()["scheme"] == "BMES"
    first = next(iter(read(finding.path, finding.format)))
    assert (first.text, first.gold) == ("王小明来京", (Span(0, 3, "NAME"), Span(4, 5, "LOC")))
    glued = (
        "".join(f"{character}{index}\tO\n" for index, character in enumerate("科技全方位资讯智"))
        + "李0\tB-PER\n开1\tI-PER\n\n"
    )
    rows = examples(written(tmp_path, "b.conll", glued * 4))
    assert (rows[0].text, rows[0].gold) == ("科技全方位资讯智李开", (Span(8, 10, "PER"),))


def test_label_first_lines_and_fasttext(tmp_path):
    trec = "".join(f"LOC:city Where is town {i} ?\nNUM:date When was year {i} ?\n" for i in range(5))
    rows = examples(written(tmp_path, "a.train", trec))
    assert (rows[0].text, rows[0].gold) == ("Where is town 0 ?", "LOC:city")
    assert examples(tmp_path / "a.train", levels=1)[1].gold == "NUM"
    fasttext = "__label__a __label__b one text\n__label__a another text\n"
    assert [row.gold for row in examples(written(tmp_path, "b.txt", fasttext))] == [("a", "b"), ("a",)]


def test_parallel_files_hold_entities_and_labels(tmp_path):
    written(tmp_path, "train/seq.in", "play some jazz \nstop\n")
    written(tmp_path, "train/seq.out", "O O B-genre \nO\n")
    written(tmp_path, "train/label", "Play \nStop\n")
    entities = [(Span(10, 14, "genre"),), ()]
    assert [row.gold for row in examples(tmp_path / "train")] == [
        LabelAndSpans("Play", entities[0]),
        LabelAndSpans("Stop", ()),
    ]
    assert [row.gold for row in examples(tmp_path / "train", task="token_classification")] == entities
    assert [row.gold for row in examples(tmp_path / "train", task="text_classification")] == ["Play", "Stop"]
    (tmp_path / "train/label").unlink()
    assert [row.gold for row in examples(tmp_path / "train")] == entities
    with pytest.raises(MissingInputError, match=r"train/label.*TS-DATA-001|TS-DATA-001.*train/label"):
        examples(tmp_path / "train", task="joint_classification")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("label", "Play\n", r"label:2: .*out of step.*TS-DATA-031"),
        ("label", "Play\nStop\nStop\n", r"label:3: .*out of step.*TS-DATA-031"),
        ("label", "Play\n \n", r"label:2:1: the label is missing.*TS-DATA-016"),
        ("seq.out", "O O B-genre\n", r"seq.out:2: .*out of step.*TS-DATA-031"),
        ("seq.out", "O O B-genre\nO O\n", r"seq.out:2:1: 1 words have 2 tags.*TS-DATA-030"),
        ("seq.out", "O O I-genre\nO\n", r"seq.out:1:5: .*TS-DATA-029"),
        ("seq.in", "play some jazz\n \n", r"seq.in:2:1: the text is empty.*TS-DATA-015"),
    ],
)
def test_parallel_files_out_of_step_are_refused_at_file_and_line(tmp_path, name, text, fault):
    for file, content in (("seq.in", "play some jazz\nstop\n"), ("seq.out", "O O B-genre\nO\n"), ("label", "A\nB\n")):
        written(tmp_path, file, text if file == name else content)
    with pytest.raises(DataError, match=fault):
        examples(tmp_path, scheme="IOB2")


def test_a_label_and_entities_of_one_row_are_read_together(tmp_path):
    row = {"text": "play some jazz", "label": "Play", "entities": [{"start": 10, "end": 14, "label": "genre"}]}
    other = {"text": "stop that now", "label": "Stop", "entities": []}
    both = written(tmp_path, "both.jsonl", "".join(f"{json.dumps(r)}\n" for r in [row, other] * 3))
    gold = LabelAndSpans("Play", (Span(10, 14, "genre"),))
    assert examples(both, task="joint_classification")[0].gold == gold
    finding = detect(both)
    assert finding.task == "token_classification" and any("joint_classification" in note for note in finding.notes)
    tagged = {"tokens": ["play", "some", "jazz"], "tags": ["O", "O", "B-genre"], "intent": ["Play"]}
    silent = {"tokens": ["stop"], "tags": ["O"], "intent": ["Stop"]}
    words = written(tmp_path, "words.jsonl", "".join(f"{json.dumps(r)}\n" for r in [tagged, silent] * 3))
    assert examples(words, task="joint_classification")[0].gold == gold
    bare = written(tmp_path, "bare.jsonl", "".join(f'{{"text": "play song {n}"}}\n' for n in range(6)))
    assert examples(bare, task="joint_classification")[0].gold is None


def test_half_of_a_label_with_entities_is_refused(tmp_path):
    label = written(
        tmp_path, "a.jsonl", "".join(f'{{"text": "some text {n}", "label": "{n % 2}x"}}\n' for n in range(9))
    )
    with pytest.raises(DataError, match=r"no column of entities was found.*TS-DATA-008"):
        detect(label, given={"task": "joint_classification"})
    spans = written(
        tmp_path, "b.jsonl", '{"text": "go home", "entities": [{"start": 3, "end": 7, "label": "to"}]}\n' * 9
    )
    with pytest.raises(DataError, match=r"no column of label was found.*TS-DATA-008"):
        detect(spans, given={"task": "joint_classification"})
    rows = [{"text": "go home", "label": found, "entities": []} for found in ("a", "b", "a", "b", ["a", "b"], None)]
    mixed = written(tmp_path, "c.jsonl", "".join(f"{json.dumps(r)}\n" for r in rows))
    finding = detect(mixed, given={"task": "joint_classification", "label": "label", "entities": "entities"})
    with Rejects(None) as rejects:
        assert len(list(read(mixed, finding.format, rejects=rejects))) == 4 and rejects.rejected == 2


def test_splits_inside_a_file(tmp_path):
    document = {"train": [[f"text number {i}", "ab"[i % 2]] for i in range(8)], "test": [["a test text", "a"]], "n": 1}
    path = written(tmp_path, "a.json", json.dumps(document))
    assert len(examples(path)) == 8
    assert [row.text for row in examples(tmp_path / "a.json#test")] == ["a test text"]
    assert len(examples(tmp_path / "a.json#train+test")) == 9
    with pytest.raises(DataError, match=r"'dev'.*the file has: train, test"):
        examples(tmp_path / "a.json#dev")
    written(
        tmp_path,
        "b.csv",
        CSV.replace("label\n", "label,split\n").replace("good\n", "good,train\n").replace("bad\n", "bad,test\n"),
    )
    assert {row.gold for row in examples(tmp_path / "b.csv#test")} == {"bad"}
    assert detect(tmp_path / "b.csv").splits() == ("train", "test")
    assert divided(tmp_path / "b.csv#test") == (tmp_path / "b.csv", "test")


def test_what_is_given_wins_and_is_checked(tmp_path):
    path = written(tmp_path, "a.csv", "text,intent,mood\n" + "hello world,greet,good\nbye for now,leave,bad\n" * 9)
    assert {row.gold for row in examples(path, label="mood")} == {"good", "bad"}
    assert {row.gold for row in examples(path, label="mood", header=True, delimiter=",")} == {"good", "bad"}
    with pytest.raises(ConfigError, match="did you mean 'mood'") as caught:
        detect(path, given={"label": "moods"})
    assert str(caught.value.place) == "data.label"
    with pytest.raises(ConfigError, match="did you mean 'encoding'"):
        detect(path, given={"encodng": "utf-8"})
    with pytest.raises(ConfigError, match="did you mean 'gb18030'"):
        detect(path, given={"encoding": "gb1803"})
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        detect(path, given={"format": "cvs"})
    with pytest.raises(ConfigError, match="of the format csv"):
        detect(path, given={"format": "csv", "glued_digits": True})


def test_the_options_of_a_finding_read_the_next_file_alike(tmp_path):
    train = detect(written(tmp_path, "train.csv", CSV.replace("text", "review").replace("label", "mood")))
    dev = written(tmp_path, "dev.csv", "review,mood\nshort,good\n")
    assert [row.gold for row in examples(dev, **train.options())] == ["good"]
    for kind in FORMATS.kinds:
        assert made(kind, FORMATS.make(kind, key="x").options()) == FORMATS.make(kind, key="x")


def test_label_names_from_a_list_or_a_file(tmp_path):
    path = written(
        tmp_path, "a.jsonl", "".join(f'{{"text": "text {i} of some", "label": {i % 2}}}\n' for i in range(6))
    )
    assert examples(path, label_names=["no", "yes"])[1].gold == "yes"
    written(tmp_path, "names.txt", "nein\nja\n")
    assert examples(path, label_names="names.txt")[1].gold == "ja"
    with pytest.raises(DataError, match="has no name"):
        examples(path, label_names=["only"])


def test_a_free_text_label_is_refused_with_the_candidates(tmp_path):
    rows = "".join(f"This is the text number {i},because of reason {i},{'ab'[i % 2]}\n" for i in range(120))
    path = written(tmp_path, "a.csv", f"text,label,kind\n{rows}")
    with pytest.raises(DataError, match=r"free text.*Columns that could be: kind"):
        detect(path)
    assert {row.gold for row in examples(path, label="kind")} == {"a", "b"}


def test_numbers_stay_as_they_are_written(tmp_path):
    rows = examples(
        written(tmp_path, "a.csv", "code,text,label\n" + "000430,the text goes here,007\n" * 3), label="label"
    )
    assert rows[0].gold == "007"


def test_refusals_of_whole_files(tmp_path):
    with pytest.raises(MissingInputError, match=r"did you mean 'a\.csv'"):
        detect(written(tmp_path, "a.csv", CSV).with_name("a.cvs"))
    for name, content, code in (
        ("empty.csv", "", "TS-DATA-004"),
        ("blank.csv", "\n \n", "TS-DATA-004"),
        ("archive.gz", b"\x1f\x8b\x08 rest", "TS-DATA-005"),
        ("noise.csv", bytes(range(256)) * 4 + bytes(400), "TS-DATA-005"),
        ("prose.txt", "Once upon a time\nthere was a file without labels\n", "TS-DATA-008"),
        ("broken.json", '{"train": [["a", "b"],\n  ["c" "d"]]}', "TS-DATA-019"),
        ("names.json", '["a", "b"]', "TS-DATA-021"),
    ):
        with pytest.raises(DataError) as caught:
            detect(written(tmp_path, name, content))
        assert caught.value.code == code and caught.value.fix, name
    with pytest.raises(DataError, match="is a folder") as folder:
        detect(tmp_path)
    assert folder.value.exit_code == 65


def test_an_unreadable_file_is_missing_input(tmp_path, monkeypatch):
    path = written(tmp_path, "a.csv", CSV)

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MissingInputError, match="Permission denied") as caught:
        detect(path)
    assert caught.value.exit_code == 66


def test_texts_without_labels_need_a_task(tmp_path):
    path = written(tmp_path, "a.txt", "first text\n\nsecond text\n")
    assert [row.text for row in examples(path, task="text_classification")] == ["first text", "second text"]
    rows = examples(written(tmp_path, "b.jsonl", '{"text": "a text"}\n'), task="token_classification")
    assert rows[0].gold is None
    rows = examples(written(tmp_path, "c.jsonl", '{"tokens": ["two", "words"]}\n'), task="token_classification")
    assert (rows[0].text, rows[0].words, rows[0].gold) == ("two words", ((0, 3), (4, 9)), None)
    assert examples(written(tmp_path, "d.csv", "text\na text\n"), task="text_classification")[0].gold is None


def test_rejects_add_up_and_name_row_place_and_fix(tmp_path):
    lines = [f'{{"text": "text number {i}", "label": "{"ab"[i % 2]}"}}' for i in range(20)]
    lines[3] = '{"text": "  ", "label": "a"}'
    lines[7] = '{"text": "x", "label": }'
    lines[9] = '{"text": "no label"}'
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    finding = detect(path)
    with Rejects(tmp_path / "bad.jsonl") as rejects:
        rows = list(read(path, finding.format, rejects=rejects))
    assert (rejects.accepted, rejects.rejected, len(rows)) == (17, 3, 17)
    records = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [record["place"]["line"] for record in records] == [4, 8, 10]
    assert [record["error"] for record in records] == ["TS-DATA-015", "TS-DATA-019", "TS-DATA-016"]
    assert all(record["fix"] and record["row"] for record in records)
    assert not list(tmp_path.glob("*.part"))
    with Rejects(None) as counted:
        assert len(list(read(path, finding.format, rejects=counted))) == 17
    assert (counted.accepted, counted.rejected) == (17, 3)
    with pytest.raises(CannotCreateError), Rejects(tmp_path / "none" / "bad.jsonl"):
        pass


def test_reading_is_lazy(tmp_path):
    good = '{"text": "some text here", "label": "a"}\n'
    path = written(tmp_path, "a.jsonl", good * 3 + "broken\n")
    rows = read(path, detect(path).format)
    assert next(rows).gold == "a"
    with pytest.raises(TunesmithError):
        list(rows)
