"""The door refuses what Python's own JSON reader lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.strict_json import JsonFault, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_say_comes_back_equal(value):
    import json

    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (b"", True),
        (b"{", True),
        (b"{} x", True),
        (b"\xef\xbb\xbf{}", True),
        (b"\xff\xfe{\x00}\x00", True),
        (b'{"a":NaN}', True),
        (b'{"a":Infinity}', True),
        (b'{"a":-Infinity}', True),
        (b'{"a":1e999}', False),
        (b'{"a":' + b"9" * 5000 + b"}", False),
        (b'{"a":1,"a":2}', False),
        (b'{"a":"\\ud800"}', False),
        (b'{"\\udfff":1}', False),
        (b"[" * 100_000, False),
        (b"[" * 65 + b"]" * 65, False),
        (b'{"a":' * 65 + b"1" + b"}" * 65, False),
        (b'{"a":"\x01"}', True),
    ],
)
def test_what_is_not_json_is_refused(data, syntax):
    with pytest.raises(JsonFault) as caught:
        parse(data)
    assert caught.value.syntax is syntax


def test_depth_is_counted_in_containers():
    assert parse(b"[" * 64 + b"]" * 64)
    assert parse(b"[[1]]", max_depth=2) == [[1]]
    with pytest.raises(JsonFault, match="deeper than 2"):
        parse(b"[[[]]]", max_depth=2)


def test_a_whole_surrogate_pair_is_a_character():
    assert parse(rb'"\ud83d\ude00"') == "\U0001f600"
