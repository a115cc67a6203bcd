"""Two lines of the textbook loop that do not even start: a removed import, a report for another kind of input."""

from sklearn.metrics import classification_report


def removed_import() -> str:
    """What `from transformers import AdamW` runs into."""
    try:
        from transformers import AdamW  # noqa: F401 - importing it is the experiment
    except ImportError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0].partition(' (')[0]}"
    return "it works with this version of transformers"


def report_on_sentences() -> str:
    """What scikit-learn's report says to one list of tags a sentence."""
    gold = [["B-PERSON", "I-PERSON", "O"], ["O", "B-DATE", "O"]]
    try:
        classification_report(gold, gold)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"
    return "it works with this version of scikit-learn"


if __name__ == "__main__":
    print("from transformers import AdamW")
    print(f"  {removed_import()}")
    print("classification_report(tags_of_sentences, ...)")
    print(f"  {report_on_sentences()}")
