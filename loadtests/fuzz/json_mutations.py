"""Mutations of a JSON body: wrong types, odd values, nesting, fields that are missing, unknown or there twice."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

# What JSON's encoder cannot write, or no JSON at all: the key stands in the body as a string and is replaced at last.
RAW = {
    "@deep list@": "[" * 3000 + "]" * 3000,
    "@deep object@": '{"a":' * 3000 + "1" + "}" * 3000,
    "@open@": "[" * 500,
    "@1e999@": "1e999",
    "@-1e999@": "-1e999",
    "@digits@": "1" * 5000,
    "@decimals@": "0." + "3" * 5000,
    "@exponent@": "1e" + "9" * 400,
    "@00@": "00",
    "@hex@": "0x10",
    "@bare@": "text",
    "@escape@": '"\\x41"',
    "@control@": '"\x01\x1f"',
    "@half escape@": '"\\u12"',
}
MOST_REPEATED = 300_000  # characters or items
SURROGATES = ["\ud800", "a\udc00b", "\udfff\ud800", "\ud83d"]
STRINGS = [
    *SURROGATES,
    "",
    " ",
    "\0",
    "\r\n\r\n",
    "\u2028\u2029\x85",
    "\ufeff",
    "\u202eabc",
    "e" + "\u0301" * 500,
    "👩‍👩‍👧‍👦" * 20,
    "\U0010ffff\ufffe",
    "ﬃ İ ı ß ǅ",
    "١٢٣ ½ ²",
    "a" * 3000,
    "ab " * 2000,
    "(" * 500 + ")" * 500,
    "http://" + "a." * 500,
    "'" * 1000,
    "-" * 1000,
    "犬" * 1000,
    "I'd've " * 200,
    "<script>",
    "tagger-en/18",
    "../../etc/passwd",
    "NaN",
]
WORDS = "I'm can't gonna U.S.A. e.g. Mr. 3.14 $5 10:30am www.a.org x@y.z :-) -- 's rock'n'roll 犬 naïve".split()
TEXT_FIELDS = frozenset({"text", "prompt", "tokens", "stop", "inputs", "data"})
NUMBERS = [0, -1, 1, 2, 1.0, -0.0, 0.1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**40, 10**400]
NUMBERS += [-(10**400), 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], [{}], [None], {"": None}, [[[[]]]], {"a": {"b": []}}]
KINDS_OF_VALUES: list[list[Any]] = [STRINGS, NUMBERS, OTHERS, list(RAW)]


def odd(chance: random.Random) -> Any:
    """Returns a value that few fields allow."""
    return copy.deepcopy(chance.choice(chance.choice(KINDS_OF_VALUES)))


def mutated(body: Any, chance: random.Random) -> bytes:
    """Returns the JSON of a body after one to four mutations."""
    root = [copy.deepcopy(body)]
    for _ in range(chance.choice([1, 1, 2, 4])):
        container, key = chance.choice(list(_places(root)))
        chance.choice(MUTATIONS)(container, key, chance)
    return encoded(root[0], chance) if root else b""


def encoded(value: Any, chance: random.Random) -> bytes:
    """Returns a value as JSON, in one of the ways to write it."""
    spaces = chance.choice([None, None, 1])
    text = json.dumps(value, ensure_ascii=chance.random() < 0.7, indent=spaces)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    if chance.random() < 0.05:  # a field that is there twice
        text = text.replace("{", f'{{"text": {json.dumps(chance.choice(STRINGS))},', 1)
    return text.encode("utf-8", "surrogatepass")  # lone surrogates that are not escaped are no UTF-8


def with_odd_texts(body: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Returns a body with another text in the place of each of its texts, prompts, tokens and stop strings."""
    return {name: _with_odd_texts(value, chance) if name in TEXT_FIELDS else value for name, value in body.items()}


def _with_odd_texts(value: Any, chance: random.Random) -> Any:
    if isinstance(value, str):
        return text(chance)
    if isinstance(value, list):
        return [_with_odd_texts(item, chance) for item in value]
    if isinstance(value, dict):
        return with_odd_texts(value, chance)
    return value


def text(chance: random.Random) -> str:
    """Returns a text of words, odd strings, and characters of any script, in any order."""
    parts = []
    for _ in range(chance.choice([1, 3, 10, 50])):
        match chance.randrange(4):
            case 0:
                parts.append(chance.choice(STRINGS[len(SURROGATES) :]))
            case 1:
                parts.append("".join(chr(chance.randrange(0x20, 0xD800)) for _ in range(chance.choice([1, 5, 100]))))
            case 2:
                parts.append(
                    "".join(
                        chance.choices("abcXYZ019.,;:'\"-_/@#$%&()[]{}<>?!\n\t …—’€°", k=chance.choice([1, 5, 100]))
                    )
                )
            case _:
                parts.append(chance.choice(WORDS))
    return chance.choice(["", " "]).join(parts)


def _places(container: Any) -> Any:
    """Yields every place of a value in its list or object, from the outside in."""
    keys = list(container) if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])


def _replace(container: Any, key: Any, chance: random.Random) -> None:
    container[key] = odd(chance)


def _remove(container: Any, key: Any, chance: random.Random) -> None:
    if len(container) > 1:
        del container[key]


def _wrap(container: Any, key: Any, chance: random.Random) -> None:
    container[key] = [container[key]] if chance.random() < 0.7 else {str(key): container[key]}


def _repeat(container: Any, key: Any, chance: random.Random) -> None:
    value, times = container[key], chance.choice([2, 2, 20, 300, 1100])
    if isinstance(value, str | list) and len(value) * times < MOST_REPEATED:
        container[key] = value * times
    else:
        container[key] = [value] * times


def _add(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container, dict):
        container[chance.choice(["unknown", "", "\ud800", "__proto__", "text", "n", "stream", "offsets"])] = odd(chance)
    else:
        container.insert(key, odd(chance))


def _rename(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container, dict):
        container[chance.choice([f"{key}s", key.upper(), f" {key}", "text", "prompt"])] = container.pop(key)


def _tweak(container: Any, key: Any, chance: random.Random) -> None:
    value = container[key]
    if isinstance(value, bool) or value is None:
        container[key] = chance.choice([True, False, None, 0, 1, "true"])
    elif isinstance(value, int | float):
        container[key] = chance.choice(
            [value + 1, value - 1, -value, value * 1000, value * 0.1 if abs(value) < 2**64 else 0.1, str(value)]
        )
    elif isinstance(value, str):
        at = chance.randrange(len(value) + 1)
        container[key] = value[:at] + chance.choice(STRINGS) + value[at:]
    else:
        container[key] = odd(chance)


def _swap(container: Any, key: Any, chance: random.Random) -> None:
    other, place = chance.choice(list(_places(container)))
    container[key] = copy.deepcopy(other[place])


Mutation = Callable[[Any, Any, random.Random], None]
MUTATIONS: list[Mutation] = [_replace, _replace, _remove, _wrap, _repeat, _add, _rename, _tweak, _tweak, _swap]
