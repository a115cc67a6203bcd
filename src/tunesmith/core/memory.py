"""Whether an error means that memory ran out: a `MemoryError`, or a `RuntimeError` of a library that says so in words.

Read off the words so that whoever asks need not import torch.
"""

_SAID = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad allocation",
    "std::bad_alloc",
    "could not create a primitive",  # oneDNN says no more than this where it finds no memory for a kernel
)


def ran_out(error: BaseException) -> bool:
    """Whether the machine or the device had no more memory to give."""
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)
    return said or isinstance(error, MemoryError)
