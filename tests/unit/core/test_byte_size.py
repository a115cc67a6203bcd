"""Amounts of memory as people write them, and what the machine says of its own."""

import subprocess
import sys

import pytest

from tunesmith.core.byte_size import in_words, parse_bytes
from tunesmith.core.errors import ConfigError
from tunesmith.core.memory import free_memory


@pytest.mark.parametrize(
    "text, count",
    [("2GB", 2 * 10**9), ("1.5 gb", 15 * 10**8), ("512MiB", 512 * 2**20), ("800m", 8 * 10**8), ("4096", 4096)],
)
def test_an_amount_is_what_it_says(text: str, count: int) -> None:
    assert parse_bytes(text, key="--memory") == count


@pytest.mark.parametrize("text", ["", "much", "2 apples", "-1GB", "0GB", "1,5GB", "GB", "2GBit", "1e9"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_bytes(text, key="--memory")
    assert refused.value.code == "TS-CONF-060"
    assert str(refused.value.place) == "--memory" and "2GB" in refused.value.fix


def test_amounts_are_told_in_a_unit_that_suits_them() -> None:
    assert [in_words(count) for count in (17, 48_000, 612e6, 1.734e9)] == ["17 bytes", "48 kB", "612 MB", "1.73 GB"]


PEAKS = """
from tunesmith.core.memory import give_back, peak_memory
print(peak_memory())
block = bytearray(300_000_000)
block[::4096] = b"x" * len(block[::4096])
print(peak_memory())
del block
give_back()
print(peak_memory())
"""


def test_a_peak_stays_where_memory_was_given_back() -> None:
    """In a process of its own: another test may have taken more before."""
    ran = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    before, taken, after = map(int, ran.stdout.split())
    assert before + 290_000_000 < taken
    assert after == pytest.approx(taken, rel=0.05)


def test_some_memory_is_free() -> None:
    assert (free_memory() or 0) > 10_000_000
