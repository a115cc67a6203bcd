"""Memory that ran out is told from other errors by what libraries say."""

import pytest

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


def test_memory_that_a_kernel_did_not_find_is_told_from_memory_that_a_tensor_did_not() -> None:
    assert no_kernel(RuntimeError("could not create a primitive"))
    assert not no_kernel(RuntimeError("can't allocate memory")) and not no_kernel(MemoryError())
