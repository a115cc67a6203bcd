"""Whether an error means that memory ran out: a `MemoryError`, or a `RuntimeError` of a library that says so in words.

Read off the words so that whoever asks need not import torch.
"""

NO_KERNEL = "could not create a primitive"
"""All that oneDNN says where it finds no memory for a kernel"""
_SAID = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad allocation",
    "std::bad_alloc",
    NO_KERNEL,
)


def ran_out(error: BaseException) -> bool:
    """Whether the machine or the device had no more memory to give."""
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)
    return said or isinstance(error, MemoryError)


def no_kernel(error: BaseException) -> bool:
    """Whether it was oneDNN that had no memory for a kernel.

    Its compiler, Xbyak, keeps that fault for the thread and nobody clears it: however much memory there is later, that
    thread gets no kernel any more but those it has.
    """
    return isinstance(error, RuntimeError) and NO_KERNEL in str(error)
