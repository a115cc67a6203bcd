"""Findings and facts as a person reads them."""

from tunesmith.judge.audit_tables import audit_view, facts_view, plain


def test_rows_of_one_shape_are_one_table_with_its_number_columns() -> None:
    rows = [{"split": "train", "n": 1200}, {"line": "a:1", "what": "x"}, {"split": "dev", "n": 3}]
    (section,) = audit_view({"sections": [{"title": "T", "summary": "S", "status": "odd", "rows": rows}]})
    assert section["status"] == "warn", "an unknown status is nothing to trust"
    assert [table["columns"] for table in section["tables"]] == [["split", "n"], ["line", "what"]]
    assert section["tables"][0]["numbers"] == ["n"]
    assert section["tables"][0]["rows"][0] == {"split": "train", "n": "1,200"}
    assert audit_view(None) == audit_view({}) == audit_view({"sections": [{}]})[:0]


def test_facts_are_flat_and_empty_ones_left_out() -> None:
    found = facts_view({"a": {"b": 1234567, "c": None}, "d": [1, 2.5], "e": "", "f": True})
    assert found == [("a.b", "1,234,567"), ("d", "1, 2.5"), ("f", "yes")]


def test_values_stay_short_and_harmless() -> None:
    assert plain(list(range(500))).endswith("10, 11, … (500)")
    assert len(plain("x" * 10_000)) == 400
    assert plain("ab" * 32) == "abababababab…", "a digest is told by its first digits"
    assert plain("\x1b[31m") == "␛[31m"
    assert plain(0.000012345) == "1.234e-05" and plain(12345.6) == "12,346" and plain(None) == "–"
