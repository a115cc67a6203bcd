"""Registered room: each file is one tracker, told the facts of a run from beside it. Its name is its `kind`."""
