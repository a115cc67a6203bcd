"""Ask a running service (`tunesmith serve BUNDLE`) with nothing but the standard library.

    python examples/ask_the_service.py http://127.0.0.1:8000 "Where is parcel TR-80011?" "I want my money back."

Without arguments it explains itself.
"""

import json
import sys
import urllib.request


def ask(address: str, texts: list[str]) -> list[object]:
    """The service's answers in the order of the texts."""
    body = json.dumps({"items": [{"text": text} for text in texts]}).encode()
    request = urllib.request.Request(f"{address}/v1/predict", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.loads(answer.read())["results"])


def main() -> None:
    """Ask and print one answer a line."""
    if len(sys.argv) < 3:
        print(__doc__)
        return
    for result in ask(sys.argv[1], sys.argv[2:]):
        print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
