"""Generated specs, 60% by changes that know the language, 40% by changes of bytes: none ends in a traceback, none takes over a
second, every problem has a place. `NEXUS_FUZZ_SPECS` is the count (make fuzz: 100,000), `NEXUS_FUZZ_SEED` the first seed."""

import os
import random
import time

from spec_material import keys, registry, text_of, variants
from test_broken_specs import Surroundings
from test_yaml_corpus import CORPUS

from nexus_engine.compile.feeds import compile_loaded
from nexus_engine.spec.loader import decode, load_text

COUNT = int(os.environ.get("NEXUS_FUZZ_SPECS", "20000"))
SEED = int(os.environ.get("NEXUS_FUZZ_SEED", "1"))

WORDS = sorted({step for path in keys() for step in path if step != "*"})
VALUES = [
    "", "~", "null", "true", "no", "0", "-1", "1e999", "nan", "inf", "9" * 40, "0x10", "1_000", "30d", "1mo", "99999999999y", "5MB", "10/s",
    "0/s", "{{ each.series }}", "{{ window.start | date('%Y') }}", "{{ secrets.X }}", "{{ 'a' * 99999999 }}", "{{", "}}", "{% for %}",
    "{{ each.__class__ }}", "{{ " + "(" * 200, "{{ each.series" + " | lower" * 300 + " }}", "{{ 9 ** 9 ** 9 }}", "a.b[0].c", "a[", '."x', "a..b",
    "String", "Nullable(Nullable(String))", "Decimal(99,99)", "Array(" * 500, "Enum8('a'=1,'b'=1)", "Tuple(a String, a String)", "Map(",
    "* * * * *", "*/0 * * * *", "0 0 31 2 *", "0-99999999 * * * *", "@reboot", "America/New_York", "../../etc/passwd", "Europe", "x" * 5000,
    "\u0000", "\u202e", "😀", "a\nb", "db.table", "db.`t", "SELECT 1", "https://x", "((((", "^(a+)+$",
]  # fmt: skip


def sound_texts():
    return [text_of(feed)[0] for feed in variants()]


def changed_value(rng, node, often, depth=0):
    """A copy of data with some places changed (``often``: how many): keys misspelt, dropped, doubled or moved, values of other kinds."""
    if depth > 3 and rng.random() < 0.1 * often:
        return rng.choice([rng.choice(VALUES), {}, [], {"a": rng.choice(VALUES)}, [[rng.choice(VALUES)]]])
    if isinstance(node, dict):
        out = {}
        for key, value in node.items():
            dice = rng.random() / often
            if dice < 0.04:
                continue
            if dice < 0.07:
                key = misspelt(rng, key)
            elif dice < 0.09:
                key = rng.choice(WORDS)
            elif dice < 0.10:
                out[rng.choice(VALUES)[:40].replace("\0", "0")] = value
            out[key] = rng.choice(VALUES) if rng.random() < 0.04 * often else changed_value(rng, value, often, depth + 1)
            if 0.10 < dice < 0.11:
                out[key + "\0"] = out[key]
        return out
    if isinstance(node, list):
        out = [changed_value(rng, item, often, depth + 1) for item in node if rng.random() > 0.05 * often]
        return out * rng.choice([1, 1, 1, 2]) if rng.random() > 0.05 * often else rng.choice([{}, "x", [out]])
    return rng.choice(VALUES) if rng.random() < 0.06 * often else node


def misspelt(rng, word):
    i = rng.randrange(len(word) + 1)
    return word[:i] + rng.choice("abcxyz_- ") + word[i + rng.randrange(2) :]


def changed_bytes(rng, data, corpus):
    for _ in range(rng.choice([1, 1, 2, 5])):
        i, dice = rng.randrange(len(data) + 1), rng.random()
        if dice < 0.3:
            data = data[:i] + bytes([rng.randrange(256)]) + data[i + 1 :]
        elif dice < 0.5:
            data = data[:i] + rng.choice([b"{", b"}", b"[", b"]", b": ", b"- ", b"'", b'"', b"&a ", b"*a", b"!!int ", b"{{ ", b"#", b"|\n", b"\t", b"<<: ", b"%", b"\xff"]) + data[i:]
        elif dice < 0.7:
            data = data[:i] + data[i + rng.randrange(1, 40) :]
        elif dice < 0.85:
            j = rng.randrange(len(data) + 1)
            data = data[:i] + data[j : j + rng.randrange(1, 80)] + data[i:]
        else:
            data = data[:i] + rng.choice(corpus) + data[i:]
    return data


def test_generated_specs_end_in_problems_or_a_spec():
    texts = [text.encode() for text in sound_texts()]
    corpus = [text.encode(errors="surrogatepass") for text, _ in CORPUS.values() if len(text) < 2000]
    feeds, slowest, sound = variants(), 0.0, 0
    formats = {name: item.cls for name, item in registry().formats.items()}
    for number in range(COUNT):
        rng = random.Random(SEED + number)
        if rng.random() < 0.6:
            data = text_of(changed_value(rng, rng.choice(feeds), rng.choice([0.03, 0.1, 1])))[0].encode(errors="surrogatepass")
        else:
            data = changed_bytes(rng, rng.choice(texts), corpus)
        began = time.thread_time()
        try:
            text, problems = decode(data, "f.yaml")
            spec = None
            if not problems:
                loaded = load_text(text, file="f.yaml", registry=registry(), project=Surroundings())
                spec, problems = loaded.spec, loaded.problems
            if spec is not None:
                spec = compile_loaded(loaded, formats)
                problems, sound = loaded.problems, sound + (spec is not None)
        except Exception as error:
            raise AssertionError(f"seed {SEED + number}: {type(error).__name__}: {error}\n{data!r}") from error
        took_s = time.thread_time() - began
        slowest = max(slowest, took_s)
        assert took_s < 1, f"seed {SEED + number} took {took_s:.2f} s"
        assert (spec is None) == any(problem.code != "secret-missing" for problem in problems), f"seed {SEED + number}: {problems}"
        assert all(problem.line >= 1 and problem.col >= 1 and problem.message for problem in problems), f"seed {SEED + number}"
    print(f"{COUNT} generated specs, {sound} sound, slowest {slowest * 1000:.0f} ms")
