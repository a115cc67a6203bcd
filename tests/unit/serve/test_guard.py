"""Who may come in."""

import pytest

from tunesmith.core.errors import BusyError, CannotCreateError, UsageError
from tunesmith.serve.guard import Keys, check_bind, check_content, check_host, deadline_of, hosts_allowed, is_loopback
from tunesmith.serve.problem import Problem
from tunesmith.serve.running import bound


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "[::1]"])
def test_loopback_needs_no_key(host):
    assert is_loopback(host)
    check_bind(host, keys=Keys(), insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_beyond_loopback_needs_a_key_or_a_word(host):
    with pytest.raises(UsageError, match="no API key"):
        check_bind(host, keys=Keys(), insecure=False)
    check_bind(host, keys=Keys.of(["k"]), insecure=False)
    check_bind(host, keys=Keys(), insecure=True)


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:1", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        (None, False),
        ("127.0.0.1.nip.io:8000", False),
        ("[::1", False),
    ],
)
def test_another_name_in_the_host_header_is_refused(header, good):
    allowed = hosts_allowed("127.0.0.1", [], keys=Keys())
    if good:
        check_host(header, allowed)
    else:
        with pytest.raises(Problem) as caught:
            check_host(header, allowed)
        assert caught.value.status == 403


def test_named_hosts_are_allowed_beside_loopback():
    check_host("Model.Internal:80", hosts_allowed("0.0.0.0", ["model.internal"], keys=Keys()))
    with pytest.raises(Problem):
        check_host("other", hosts_allowed("0.0.0.0", ["model.internal"], keys=Keys.of(["k"])))


def test_beyond_loopback_a_key_or_an_address_is_needed_where_no_name_is_given():
    check_host("anything", hosts_allowed("0.0.0.0", [], keys=Keys.of(["k"])))
    for address in ("192.168.1.20:8000", "[fe80::1]:8000"):
        check_host(address, hosts_allowed("0.0.0.0", [], keys=Keys()))
    with pytest.raises(Problem):
        check_host("evil.example", hosts_allowed("0.0.0.0", [], keys=Keys()))


@pytest.mark.parametrize("key", ["schlüssel", "密钥", "a\x00b"])
def test_a_key_that_no_header_carries_is_refused_at_the_start(key):
    with pytest.raises(UsageError, match="ASCII"):
        Keys.of(["good", key])


def test_keys_are_compared_as_digests_and_logged_as_ids():
    keys = Keys.of(["one", " two ", ""])
    assert len(keys.digests) == 2
    assert keys.admit("two") == Keys.of(["two"]).digests[0].hex()[:8]
    for wrong in (None, "", "three", "tw", "two\udcff"):
        with pytest.raises(Problem) as caught:
            keys.admit(wrong)
        assert caught.value.status == 401
    assert Keys.of([" "]).admit("anything") is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(headers):
    with pytest.raises(Problem) as caught:
        check_content(headers)
    assert caught.value.status == 415
    check_content({"content-type": 'application/JSON; charset="UTF-8"'})


@pytest.mark.parametrize("given", ["", "0", "-1", "1.5", "abc", "600001", "9" * 50, "\u0663", " 5"])
def test_a_deadline_is_a_number_of_milliseconds(given):
    with pytest.raises(Problem) as caught:
        deadline_of({"x-deadline-ms": given})
    assert caught.value.status == 400
    assert deadline_of({}) is None
    assert deadline_of({"x-deadline-ms": "250"}) == 250


def test_a_port_that_is_taken_says_so():
    first = bound("127.0.0.1", 0)
    with first, pytest.raises(BusyError, match="taken"):
        bound("127.0.0.1", first.getsockname()[1])
    with pytest.raises(CannotCreateError):
        bound("no such host.invalid", 0)
