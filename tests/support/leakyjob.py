"""A script that prints secrets in every form, and breaks; what it prints stands in a file, and not in the job.

The file that ``FORMS`` names holds, by the option's name, the value and its other forms; ``env``: by names of
variables of the runner; ``told``: values that the script learns of itself, and tells as GitHub's runners are told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.leaks import forms

DONE: Final = b"done, all of them"

SCRIPT: Final = r"""
import json, os, random, sys
given = json.load(open(os.environ["FORMS"]))
chance = random.Random(7)
def byte_by_byte(data, out):
    for at in range(len(data)):
        out.write(data[at:at + 1]); out.flush()
def in_pieces(data, out):
    at = 0
    while at < len(data):
        size = chance.randint(1, 40)
        out.write(data[at:at + size]); out.flush()
        at += size
def whole(data, out):
    out.write(data)
def tell(value):
    data = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").encode()
    byte_by_byte(b"::add-mask::" + data + b"\n", sys.stdout.buffer)
def printed(texts, number):
    for text in texts:
        data = ("[" + text + "]\n").encode()
        ways = (byte_by_byte if len(data) < 100 else in_pieces, whole, in_pieces, whole, in_pieces)
        ways[number % 5](data, (sys.stdout, sys.stderr)[number % 2].buffer)
        number += 1
    sys.stdout.flush(); sys.stderr.flush()
    return number
values, number = [], 0
for name, texts in given["options"].items():
    assert os.environ.get("RD_OPTION_" + name.upper()) == texts[0], name
for name, texts in given["env"].items():
    assert name not in os.environ or os.environ[name] == texts[0], name
for texts in given["told"].values():
    tell(texts[0])
for texts in [texts for kind in ("options", "env", "told") for texts in given[kind].values()]:
    value = texts[0]
    values.append(value)
    number = printed(texts, number)
    nested = json.dumps({"message": json.dumps({"value": [value]})})
    texts = [json.dumps({"value": [value]}), nested, json.dumps([nested]), repr([value]), repr({"v": repr(value)})]
    number = printed(texts, number)
print("done, all of them")
sys.stdout.flush()
class Odd(Exception): pass
try:
    raise Odd(*values)
except Odd as cause:
    raise RuntimeError(values) from cause
"""


def write_forms(path: Path, **kinds: Mapping[str, str]) -> int:
    """Write the file for the script; returns how many forms there are. Kinds are ``options``, ``env``, ``told``."""
    said = {
        kind: {name: [value, *sorted(forms(value))] for name, value in values.items()}
        for kind, values in kinds.items()
    }
    path.write_text(json.dumps(said))
    return sum(len(texts) for values in said.values() for texts in values.values())
