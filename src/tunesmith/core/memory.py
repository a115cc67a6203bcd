"""Whether an error means that memory ran out. Libraries say it in several ways, and none of them has a type of its own.

Read off the text so that whoever asks need not import torch.
"""

_SAID = ("can't allocate memory", "out of memory", "not enough memory", "bad allocation", "std::bad_alloc")


def ran_out(error: BaseException) -> bool:
    """Whether the machine or the device had no more memory to give."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _SAID)
