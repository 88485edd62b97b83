"""Bodies of JSON that cost more to refuse than to send."""

from loadtests.chaos.hostile.attack import BODY_BYTES, TASKS, Attack, field_of, lines, request, tensors

ITEMS = 50_000
COMPLETIONS = "/v1/completions"
INFER = "/v2/models/sentiment-en/infer"


def repeated(prefix: bytes, item: bytes, suffix: bytes, size: int = BODY_BYTES) -> bytes:
    """Returns a body of at most `size` bytes: an item as often as it fits, with commas between."""
    count = (size - len(prefix) - len(suffix)) // (len(item) + 1)
    return prefix + b",".join([item] * count) + suffix


def texts(path: str, item: bytes, size: int = BODY_BYTES) -> bytes:
    """Returns a body whose texts are all the same JSON value."""
    return repeated(b'{"%b": [' % field_of(path).encode(), item, b"]}", size)


def numbers(path: str) -> bytes:
    """Returns a body with 50 000 numbers in the place of texts."""
    return texts(path, b"1", 2 * ITEMS)


def distinct_keys() -> bytes:
    """Returns an object with as many different keys as fit."""
    count = BODY_BYTES // len('"k000000":1,')
    return b'{"text": {%b}}' % b",".join(b'"k%06d":1' % number for number in range(count - 2))


def other_protocols(size: int) -> list[bytes]:
    """Returns numbers in the place of texts for OpenAI's protocol and the Open Inference Protocol."""
    completions = repeated(b'{"model": "lm-shakespeare", "prompt": [', b"[]", b"]}", size)
    start = b'{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ['
    return [request(COMPLETIONS, completions), request(INFER, repeated(start, b"1", b"]}]}", size))]


def many_tensors() -> bytes:
    """Returns a request of the Open Inference Protocol with as many wrong tensors as fit."""
    return request(INFER, repeated(b'{"inputs": [', b"1", b"]}"))


ATTACKS = [
    Attack("50 000 numbers as texts", lambda: [request(path, numbers(path)) for path in TASKS]),
    Attack("50 000 numbers as texts, gzipped", lambda: [request(path, numbers(path), zipped=True) for path in TASKS]),
    Attack("50 000 numbers as texts, in a line", lambda: [lines(path, numbers(path) + b"\n") for path in TASKS]),
    Attack("50 000 numbers to /v1 and /v2", lambda: other_protocols(2 * ITEMS)),
    Attack("4 MB of numbers as texts", lambda: [request(path, texts(path, b"1")) for path in TASKS]),
    Attack(
        "4 MB of numbers as texts, gzipped", lambda: [request(path, texts(path, b"1"), zipped=True) for path in TASKS]
    ),
    Attack("4 MB of numbers as texts, in a line", lambda: [lines(path, texts(path, b"1")) for path in TASKS]),
    Attack("4 MB of numbers to /v1 and /v2", lambda: [*other_protocols(BODY_BYTES), many_tensors()]),
    Attack("4 MB of empty strings", lambda: [request(path, texts(path, b'""')) for path in TASKS]),
    Attack("4 MB of nested lists", lambda: [request(path, texts(path, b"[[[[]]]]")) for path in TASKS]),
    Attack("4 MB of one object's distinct keys", lambda: [request(path, distinct_keys()) for path in TASKS]),
    Attack(
        "4 MB of unknown fields",
        lambda: [request(path, b"{" + distinct_keys()[10:-1]) for path in (*TASKS, COMPLETIONS)],
    ),
    Attack("4 MB of empty sentences", lambda: [request("/tag", repeated(b'{"tokens": [', b"[]", b"]}"))]),
    Attack("4 MB of sentences of numbers", lambda: [request("/tag", repeated(b'{"tokens": [', b"[1]", b"]}"))]),
    Attack("4 MB of blank tokens", lambda: [request("/tag", repeated(b'{"tokens": [[', b'" "', b"]]}"))]),
    Attack("4 MB of stop strings", lambda: [request("/generate", repeated(b'{"prompt": "a", "stop": [', b"1", b"]}"))]),
    Attack(
        "shapes and timeouts of 400 digits to /v2",
        lambda: [
            request(INFER, body)
            for body in (
                tensors(shape=[10**400]),
                tensors(shape=[2**40, 2**40]),
                tensors(shape=[10**200, 10**200, 0]),
                tensors(shape=[-(10**400)]),
                {"parameters": {"timeout": 10**400}, **tensors()},
                {"parameters": {"timeout": -(10**400)}, **tensors()},
                tensors(parameters={"binary_data_size": 10**400}, data=None),
            )
        ],
    ),
]
