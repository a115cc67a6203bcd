"""The three verbs as a user types them, in processes of their own."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import httpx
import pytest
import typer
from typer.testing import CliRunner

from tunesmith.bundle.bulk import Counts, answers
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.questions import Columns, Questions
from tunesmith.bundle.verify import verify as checked
from tunesmith.cli.evaluate import evaluate
from tunesmith.cli.predict import predict
from tunesmith.cli.serve import serve
from tunesmith.cli.verify import verify
from tunesmith.core.errors import CannotCreateError, DataError, ModelFileError, UsageError
from tunesmith.serve import running as serving

app = typer.Typer()
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("serve")(serve)
app.command("verify")(verify)
PROGRAM = "import sys; from tunesmith.cli.serve import serve; import typer; typer.run(serve)"


def run(*words, given=None):
    """The result of a command that succeeds; an error is raised as it is."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_lines_from_a_pipe_to_jsonl_with_character_offsets(tiny_bundles):
    bundle = tiny_bundles("entities")
    result = run("predict", bundle, "-", given="😀 张三 in Beijing\n\n[SEP]\n")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["😀 张三 in Beijing", "", "[SEP]"]
    assert rows[1].keys() == {"id", "text"}, "a blank line keeps its place and has no answer"
    for entity in rows[0]["entities"]:
        assert rows[0]["text"][entity["start"] : entity["end"]] == entity["text"]
        assert 0 <= entity["confidence"] <= 1
    assert "2 answered, 1 blank" in result.stderr


def test_csv_out_is_read_back_by_csv(tiny_bundles, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text('id,text\nx,"a ""b"", c"\ny,\nz,"two\nlines"\n')
    run("predict", tiny_bundles("label"), source, "--format", "csv", "--scores", "--out", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["text"]) for row in rows] == [("x", 'a "b", c'), ("y", ""), ("z", "two\nlines")]
    assert rows[0]["label"] in {"bad", "fine", "good"} and rows[1]["label"] == ""
    assert sum(json.loads(rows[0]["scores"]).values()) == pytest.approx(1, abs=1e-4)


def test_a_label_of_a_tree_comes_with_its_levels(tiny_bundles, tmp_path):
    bundle = tiny_bundles("path")
    row = json.loads(run("predict", bundle, "-", given="good\n").stdout.splitlines()[0])
    assert row["label"] == row["levels"][-1]["label"] and row["confidence"] == row["levels"][-1]["confidence"]
    assert all(below["label"].startswith(above["label"] + "/") for above, below in pairwise(row["levels"]))
    scores = row["scores"]
    assert scores["card"] == pytest.approx(scores["card/lost"] + scores["card/stolen"], abs=1e-5)
    source = tmp_path / "in.txt"
    source.write_text("good\n")
    header, cells = run("predict", bundle, source, "--format", "csv").stdout.splitlines()
    assert header == "id,text,label,confidence,truncated" and cells.startswith(f"1,good,{row['label']},")


@pytest.mark.parametrize(("kind", "column"), [("pair", "label"), ("score", "score")])
def test_pairs_by_tab_or_by_column(kind, column, tiny_bundles, tmp_path):
    piped = run("predict", tiny_bundles(kind), "-", given="good\tnot good\n\n").stdout.splitlines()
    assert json.loads(piped[0])["pair"] == "not good" and column in json.loads(piped[0])
    source = tmp_path / "in.csv"
    source.write_text("text,pair\ngood,not good\n")
    header, row = run("predict", tiny_bundles(kind), source, "--format", "csv").stdout.splitlines()
    assert header.startswith(f"id,text,pair,{column}") and row.startswith("2,good,not good,")


def test_questions_by_tab_or_by_column_and_their_answers_can_be_trained_on(tiny_bundles, tmp_path):
    from tunesmith.prepare.reading import detect, read

    text, out = "my card was stolen in Beijing, please help", tmp_path / "out.jsonl"
    run("predict", tiny_bundles("answer"), "-", "--out", out, given=f"{text}\twhere?\n\n{text}\twhat is lost?\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[1] == {"id": "2", "text": "", "pair": ""}
    for row in (rows[0], rows[2]):
        assert row["answer"] is None or row["answer"] == text[row["start"] : row["end"]]
        assert 0 < row["confidence"] <= 1
    out.write_text("".join(f"{json.dumps(row)}\n" for row in (rows[0], rows[2])))
    finding = detect(out)
    for row, example in zip((rows[0], rows[2]), read(out, finding.format), strict=True):
        assert [(span.start, span.end) for span in example.gold] == (
            [(row["start"], row["end"])] if row["answer"] else []
        )
    source = tmp_path / "in.csv"
    source.write_text(f'context,question\n"{text}",where?\n')
    columns = ("--text-column", "context", "--pair-column", "question")
    header, row = run("predict", tiny_bundles("answer"), source, "--format", "csv", *columns).stdout.splitlines()
    assert header == "id,text,pair,answer,start,end,confidence,truncated"
    assert row.startswith(f'2,"{text}",where?,')


def test_a_search_answers_as_its_re_ranker_orders(tiny_bundles, tmp_path):
    source, pairs = tmp_path / "in.jsonl", tiny_bundles("pair")
    source.write_text('{"text": "not good", "pair": "good"}\n{"text": "who is Anna", "pair": "good"}\n')
    both = ("--reranker", pairs, "--candidates", 4, "--relevant", "same", "--index", "faiss")
    said = run("predict", tiny_bundles("documents"), source, *both)
    found = [json.loads(line)["documents"] for line in said.stdout.splitlines()]
    assert [len(documents) for documents in found] == [3, 3]
    assert all(item.keys() == {"id", "text", "score", "first_score"} for item in found[0])
    assert "of the first 10 of exact search" in said.stderr
    both = ("--reranker", pairs, "--candidates", 20, "--relevant", "same")
    record = json.loads(run("evaluate", tiny_bundles("documents"), source, *both, "--json").stdout)
    assert record["reranking"]["candidates"] == 20 and record["reranking"]["recall_within_candidates"] == 1.0
    assert [test["metric"] for test in record["reranking"]["tests"]] == list(record["metrics"])
    told = run("evaluate", tiny_bundles("documents"), source, *both).output
    assert "Re-ranking" in told and "no re-ranker finds more" in told
    with pytest.raises(UsageError, match="10 documents answer a question, and only 5 would be read again"):
        run("evaluate", tiny_bundles("documents"), source, *both[:2], "--candidates", 5, *both[4:])


def test_answers_can_be_trained_on(tiny_bundles, tmp_path):
    for kind, field in (("entities", "entities"), ("label", "label"), ("labels", "labels"), ("path", "label")):
        out = tmp_path / f"{kind}.jsonl"
        run("predict", tiny_bundles(kind), "-", "--out", out, "--no-scores", given="good\nnot good in Beijing\n")
        assert all(field in json.loads(line) for line in out.read_text().splitlines())


def test_skipped_rows_add_up(tiny_bundles, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text":"a"}\n{"text":1}\n{"text":""}\nnot json\n{"text":"b"}\n')
    with pytest.raises(DataError, match=r"in\.jsonl:2"):
        CliRunner().invoke(app, ["predict", str(tiny_bundles("label")), str(source)], catch_exceptions=False)
    out, bad = tmp_path / "out.jsonl", tmp_path / "bad.jsonl"
    result = run("predict", tiny_bundles("label"), source, "--out", out, "--skip-bad", bad, "--json")
    counts = {"read": 5, "answered": 2, "blank": 1, "rejected": 2}
    assert json.loads(result.stdout) == {"out": str(out), "precision": "fp32", **counts}
    assert [json.loads(line)["place"]["line"] for line in bad.read_text().splitlines()] == [2, 4]
    assert len(out.read_text().splitlines()) == 3


def test_an_output_appears_whole_or_not_at_all(tiny_bundles, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text":"a"}\n' * 3 + "bad\n")
    out.write_text("before")
    with pytest.raises(DataError):
        run("predict", tiny_bundles("label"), source, "--out", out)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    with pytest.raises(CannotCreateError):
        run("predict", tiny_bundles("label"), "-", "--out", tmp_path / "none" / "out", given="a\n")
    with pytest.raises(UsageError):
        run("predict", tiny_bundles("label"), "-", "--json", given="a\n")


@pytest.mark.parametrize("flag", ["--out", "--skip-bad"])
def test_a_folder_is_refused_before_the_model_is_opened(flag, tmp_path):
    for folder in (tmp_path, "."):
        with pytest.raises(CannotCreateError, match="is a folder") as caught:
            run("predict", tmp_path / "no bundle", "-", flag, folder, given="a\n")
        assert flag in caught.value.fix


def test_brackets_in_names_are_printed_as_they_are(tiny_bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("predict", tiny_bundles("label"), "-", "--out", "a[b]", "--skip-bad", "c[d]", given="good\n")
    assert "0 skipped into c[d] -> a[b]" in result.stderr
    folder = shutil.copytree(tiny_bundles("label"), tmp_path / "bundle")
    found = checked(folder)
    monkeypatch.setattr("tunesmith.bundle.verify.verify", lambda bundle, index: replace(found, name="e[f]"))
    assert run("verify", folder).stdout.startswith("ok e[f] ")


def test_a_million_rows_would_not_be_held(tiny_bundles):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield "good\n"

    predictor = Predictor.load(tiny_bundles("label"))
    reader = Questions("text", file="endless", columns=Columns(), pairs=False)
    found = answers(predictor, reader.read(endless()), Counts(), chunk=16)
    for _ in range(100):
        next(found)
    assert taken == 112


def test_verify_says_what_it_checked_and_names_what_changed(tiny_bundles, tmp_path):
    assert "6 golden rows" in run("verify", tiny_bundles("label")).stdout.replace("\n", " ")
    record = json.loads(run("verify", tiny_bundles("label"), "--json").stdout)
    assert (record["files"], record["golden_rows"]) == (8, 6)
    folder = shutil.copytree(tiny_bundles("label"), tmp_path / "b")
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("16", "61", 1))
    with pytest.raises(ModelFileError, match=r"config\.json was changed"):
        run("verify", folder)


def served_as(monkeypatch, *words, url="http://127.0.0.1:8000"):
    """The settings that these options make, and what is said once the service listens."""
    made = []

    def instead(_folder, settings, *, started, **_):
        made.append(settings)
        started(SimpleNamespace(service=SimpleNamespace(name="a[b]", adapters=()), url=url))

    monkeypatch.setattr(serving, "serve", instead)
    return made, run("serve", "bundle", *words).stderr


@pytest.mark.parametrize("url", ["http://[::1]:8000", "http://[fe80::1]:8000"])
def test_a_served_name_and_address_are_printed_as_they_are(url, monkeypatch):
    _, said = served_as(monkeypatch, url=url)
    assert said.startswith(f"a[b] at {url}\n") and f"open {url} in" in said and f"curl {url}/v1/predict" in said


@pytest.mark.parametrize(
    ("words", "limit"), [([], 50_000), (["--max-characters", "100000"], 100_000), (["--max-characters", "10"], 50_000)]
)
def test_one_longest_text_always_fits_a_request(words, limit, monkeypatch):
    assert served_as(monkeypatch, *words)[0][0].max_request_characters == limit


def test_a_request_limit_is_taken_as_given_or_refused(monkeypatch):
    words = ["--max-characters", "500", "--max-request-characters", "5000"]
    assert served_as(monkeypatch, *words)[0][0].max_request_characters == 5000
    with pytest.raises(UsageError, match="5000"):
        served_as(monkeypatch, "--max-request-characters", "5000")


def test_serve_answers_and_leaves_with_zero_on_sigterm(tiny_bundles):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundles("entities")), "--port", "0", "--drain-seconds", "0.2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            said = process.stderr.readline()
            url = said.split()[-1]
            assert url.startswith("http://127.0.0.1:")
            until = time.monotonic() + 60
            while httpx.get(f"{url}/readyz").status_code != 200 and time.monotonic() < until:
                time.sleep(0.05)
            body = {"text": "a private text in Beijing"}
            assert httpx.post(f"{url}/v1/predict", json=body).status_code == 200
            process.send_signal(signal.SIGTERM)
            log, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["state"] for line in lines if "state" in line][-2:] == ["draining", "retired"]
    assert "private" not in log
