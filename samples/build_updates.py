"""Compose the sample of order updates: facts about an order, and the message to the customer that a shop would write.

python samples/build_updates.py            write samples/updates_en/{train,dev,test}.jsonl
python samples/build_updates.py --check    exit 1 if a written file differs from what is composed here

Every message follows one of seven patterns of house style; names, things, towns and numbers are drawn. A model that
has learnt the style writes the very message, so that exact match means something.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "updates_en"
SIZES = {"train": 112, "dev": 16, "test": 32}
PEOPLE = (
    "Ada Brook", "Ben Osei", "Carla Mint", "Dev Rao", "Ella Fink", "Femi Adu", "Gita Nair", "Hugo Lund", "Iris Vale",
    "Jon Peck", "Kira Moss", "Leo Tan", "Mina Roth", "Noor Aziz", "Omar Bell", "Pia Holm", "Quin Hart", "Rosa Diaz",
    "Sam Wolf", "Tess Lind",
)  # fmt: skip
THINGS = (
    "a Lumen 3 lamp", "a Brisa kettle", "two Nordal mugs", "a Terra rucksack", "a Fjell tent", "a Pico radio",
    "three Olea soaps", "a Vento fan", "a Kiri notebook", "a Sola charger", "a Mara blanket", "an Arko bottle",
)  # fmt: skip
TOWNS = (
    "Leeds", "Bristol", "Cork", "Dublin", "Hull", "Perth", "Swansea", "York", "Galway", "Derby", "Bath", "Exeter",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
PLACES = ("your neighbour", "the front door", "the parcel shop", "the garden shed")


def composed(draw: random.Random) -> tuple[str, str]:
    """A prompt and its answer."""
    order, name, thing = f"TR-{draw.randint(10000, 99999)}", draw.choice(PEOPLE), draw.choice(THINGS)
    status = draw.choice(list(STYLES))
    details, message = STYLES[status](draw, order, thing)
    prompt = f"order: {order}; customer: {name}; item: {thing}; status: {status.split()[0]}; {details}"
    return prompt, f"Hello {name.split()[0]}, {message}"


def _shipped(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    town, day = draw.choice(TOWNS), draw.choice(DAYS)
    on_the_way = f"{thing} from order {order} {_be(thing)} on the way to {town}."
    return f"to: {town}; expected: {day}", f"{on_the_way} You can expect the parcel on {day}."


def _delayed(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    before, after = draw.sample(DAYS, 2)
    late = f"we are sorry: order {order} is late."
    return f"from: {before}; to: {after}", f"{late} {_begin(thing)} will arrive on {after} instead of {before}."


def _refunded(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    amount = f"£{draw.randint(6, 120)}.{draw.choice(('00', '50', '90'))}"
    paid = f"we have refunded {amount} for {thing} from order {order}."
    return f"amount: {amount}", f"{paid} The money takes up to five days to reach your account."


def _delivered(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    place = draw.choice(PLACES)
    arrived = f"order {order} has arrived: {thing} {_be(thing)} at {place}."
    return f"place: {place}", f"{arrived} Please tell us if anything is missing."


def _cancelled_by_customer(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    return "by: customer", f"as you wished, order {order} is cancelled. You will not be charged for {thing}."


def _cancelled_by_shop(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    sorry = f"we are sorry: we had to cancel order {order}."
    return "by: shop", f"{sorry} {_begin(thing)} {_be(thing)} no longer in stock, and you will not be charged."


def _ready(draw: random.Random, order: str, thing: str) -> tuple[str, str]:
    town, day = draw.choice(TOWNS), draw.choice(DAYS)
    there = f"{thing} from order {order} {_be(thing)} ready in our {town} shop."
    return f"shop: {town}; until: {day}", f"{there} Please collect the parcel by {day}."


Style = Callable[[random.Random, str, str], tuple[str, str]]
STYLES: dict[str, Style] = {
    "shipped": _shipped,
    "delayed": _delayed,
    "refunded": _refunded,
    "delivered": _delivered,
    "cancelled by customer": _cancelled_by_customer,
    "cancelled by shop": _cancelled_by_shop,
    "ready": _ready,
}


def _be(thing: str) -> str:
    return "are" if thing.split()[0] in ("two", "three") else "is"


def _begin(thing: str) -> str:
    return thing[0].upper() + thing[1:]


def files() -> dict[str, str]:
    """The text of each file."""
    draw = random.Random(7)
    pairs = dict(composed(draw) for _ in range(sum(SIZES.values())))
    rows = iter(pairs.items())
    return {
        f"{split}.jsonl": "".join(
            json.dumps({"id": f"up-{split}-{number:03}", "prompt": prompt, "answer": answer}, ensure_ascii=False) + "\n"
            for number, (prompt, answer) in zip(range(1, size + 1), rows, strict=False)
        )
        for split, size in SIZES.items()
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        differing = [name for name, text in files().items() if (FOLDER / name).read_text(encoding="utf-8") != text]
        sys.exit(f"differ from what is composed: {', '.join(differing)}" if differing else 0)
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
