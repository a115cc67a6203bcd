"""Tunesmith: from a file of labelled text to a model that is measured, served and kept honest.

`train`, `load`, `audit`, `evaluate` and `serve` are imported when first used, so that `import tunesmith` costs nothing.
"""
