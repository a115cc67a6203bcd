"""Memory that ran out is told from other errors by what libraries say; what is free, by machine and container."""

from pathlib import Path

import pytest

from tunesmith.core import memory
from tunesmith.core.memory import no_kernel, ran_out


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("could not create a primitive"),
    ],
)
def test_what_libraries_say_when_memory_ran_out_is_understood(error: Exception) -> None:
    assert ran_out(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory"), OSError()])
def test_another_error_is_another_error(error: Exception) -> None:
    assert not ran_out(error)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the only control group there is, with 900,000 bytes taken and 300,000 of them pages of files."""
    (tmp_path / "current").write_text("900000\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 300000\n", encoding="ascii")
    monkeypatch.setattr(memory, "_GROUPS", ((tmp_path, "max", "current", "inactive_file"),))
    return tmp_path


def test_pages_of_files_make_room_in_a_container(group: Path) -> None:
    (group / "max").write_text("1000000\n", encoding="ascii")
    assert memory.free_memory() == 400_000


def test_a_container_without_a_limit_has_what_the_machine_has(group: Path) -> None:
    (group / "max").write_text("max\n", encoding="ascii")
    free = memory.free_memory()
    assert free is not None and free > 1_000_000


def test_memory_that_a_kernel_did_not_find_is_told_from_memory_that_a_tensor_did_not() -> None:
    assert no_kernel(RuntimeError("could not create a primitive"))
    assert not no_kernel(RuntimeError("can't allocate memory")) and not no_kernel(MemoryError())
