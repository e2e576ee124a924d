"""Hostile job files: each its own error, quickly and in bounded memory, whatever the format."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.jobfile import JobFile, read_job_file, source
from domain.jobfile.read.jobs import JOB_FIELDS
from schemas.errors import ErrorCode, RunbusError
from tests.support.jobfiles import job, problems, read_or_error, step, the_problem, xml

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loader", [yaml.SafeLoader, source.LOADER])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "more than 100 levels"),
        ("{a: " * 50_000, "more than 100 levels"),
        ("- " * 100_000, "more than 100 levels"),
        ("? " * 100_000, "more than 100 levels"),
        ("&a [*a]", "more than 100 levels"),
        ("- &a {name: *a}", "more than 100 levels"),
        (
            "".join(f"k{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else 'x'}]\n" for n in range(12)),
            "more than 100,000 values",
        ),
        ("[" + "a," * 120_000 + "]", "more than 100,000 values"),
        (step("zz: '" + "${option." * 110_000 + "'"), "unknown field"),
        (job(f"timeout: {'9' * 1_000_000}"), "expected a number that fits into 64 bits"),
        (f"a: &a {'x' * 1000}\nb: [{'*a, ' * 2000}]", "more than 1 MiB of text"),
        ("x" * (1 << 20) + "x", "longer than 1 MiB"),
        ("\u00e9" * (1 << 19) + "x", "longer than 1 MiB"),
        ('"\\UFFFFFFFF"', "not valid YAML"),
        ("%YAML " + "9" * 5000 + ".1\n--- a", "not valid YAML"),
    ],
    ids=range(15),
)
def test_hostile_files_are_refused_fast(
    text: str, words: str, loader: type[yaml.SafeLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LOADER", loader)
    begin = time.process_time()
    assert any(words in each["text"] for each in problems(text))
    assert time.process_time() - begin < 20


WORDS = (
    "name|sequence|commands|exec|timeout|runnerSelector|<<|: |:\n  |\n|- |[|]|{|}|, "
    "|&a |*a|!!int |!!map |!x |'|---\n|# |5|~|true|\t"
)
YAMLISH = st.lists(st.sampled_from([*WORDS.split("|"), '"', "|\n "]), max_size=40).map("".join)


@given(text=st.one_of(st.text(), YAMLISH))
def test_no_text_raises_anything_else(text: str) -> None:
    result = read_or_error(text)
    if isinstance(result, JobFile):
        assert result.jobs
    else:
        assert result.code is ErrorCode.INVALID_JOB
        assert all(each["line"] > 0 and each["column"] > 0 for each in result.details["problems"])


TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=9) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
FIELDS = [*JOB_FIELDS]


@given(tree=st.dictionaries(st.sampled_from(FIELDS), TREES), step_tree=TREES)
def test_no_tree_raises_anything_else(tree: dict[str, Any], step_tree: Any) -> None:
    tree.setdefault("sequence", {"commands": [step_tree, {"type": "x", "configuration": step_tree}]})
    result = read_or_error(yaml.safe_dump([tree]))
    assert isinstance(result, JobFile) or result.code is ErrorCode.INVALID_JOB


XML_WORDS = """
<joblist> <job> </job> </joblist> <name> </name> <sequence <command> </command> <exec> </exec> keepgoing='x' > />
<![CDATA[ ]]> &amp; &#0; &x; <?runbus-json?> {} [1 <!--
"""
XMLISH = st.lists(st.sampled_from(XML_WORDS.split()), max_size=40).map("".join)


@given(text=XMLISH.map(lambda text: f"<joblist>{text}") | XMLISH)
def test_no_xml_raises_anything_else(text: str) -> None:
    result = read_or_error(text)
    assert isinstance(result, JobFile) or result.code is ErrorCode.INVALID_JOB


@given(text=st.lists(st.sampled_from([*'[]{},:"\\ntu1.-e ', "true", '"name"', "null"]), max_size=40).map("".join))
def test_no_json_raises_anything_else(text: str) -> None:
    with pytest.raises(RunbusError) as caught:
        read_job_file(text, project="p", file="f.json")
    assert caught.value.code is ErrorCode.INVALID_JOB


LAUGHS = (
    "<!DOCTYPE x [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {after} '{f'&{before};' * 10}'>" for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><joblist>&i;</joblist>"
)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (LAUGHS, (1, 13), "a document type (<!DOCTYPE ...>) is refused, and with it all entities; remove it"),
        (
            '<!DOCTYPE x SYSTEM "file:///etc/passwd">\n<joblist/>',
            (1, 40),
            "a document type (<!DOCTYPE ...>) is refused, and with it all entities; remove it",
        ),
        (xml("<group>&who;</group>"), (2, 8), "not valid XML: undefined entity"),
        ("<joblist>\n" + "<a>" * 200, (2, 298), "more than 100 elements inside one another"),
        ("<joblist>\n" + "<a/>" * 100_001, (2, 399_997), "more than 100,000 values"),
        ("<joblist>" + "x" * (1 << 20), (1, 1), "longer than 1 MiB; split the file"),
        (xml("<group>\0</group>"), (2, 8), "not valid XML: not well-formed (invalid token)"),
        (xml("<group>\ud800</group>"), (2, 8), "half a character cannot stand in XML; remove it"),
        (xml("<group>a"), (2, 66), "not valid XML: mismatched tag"),
        ("<joblist>", (1, 10), "not valid XML: no element found"),
        ("<jobs/>", (1, 1), "the root element is <jobs>; write <joblist>"),
        ("<joblist><jib/></joblist>", (1, 10), "<jib> is no <job>; remove it"),
        (xml("<tags><?runbus-json?>[1,</tags>"), (2, 1), "its text is marked as JSON and is none"),
    ],
    ids=range(13),
)
def test_hostile_xml(text: str, place: tuple[int, int], words: str) -> None:
    begin = time.process_time()
    line, column, _, said = the_problem(text)
    assert (line, column) == place
    assert said.startswith(words)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[" * 200, (1, 101), "more than 100 levels of lists and maps"),
        ("[" + "1," * 100_001 + "1]", (1, 200_000), "more than 100,000 values"),
        ('[{"name": "' + "x" * 100_000, (1, 11), "not valid JSON: no value begins here"),
        ('[{"name": "n"}', (1, 15), "not valid JSON: ',' or ']' is missing"),
        ('[{"name" "n"}]', (1, 10), "not valid JSON: ':' is missing"),
        ('[{name: "n"}]', (1, 3), "not valid JSON: no value begins here"),
        ('[{"name": }]', (1, 11), "not valid JSON: a value is missing before '}'"),
        ('[{"name": "\\x"}]', (1, 11), "not valid JSON: an escape in this text is not valid"),
        ("[]\n[]", (2, 1), "not valid JSON: more text behind the end"),
        ("", (1, 1), "not valid JSON: no value begins here"),
    ],
    ids=range(10),
)
def test_hostile_json(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(RunbusError) as caught:
        read_job_file(text, project="p", file="f.json")
    (only,) = caught.value.details["problems"]
    assert (only["line"], only["column"]) == place
    assert only["text"].startswith(words)


def test_a_text_of_50_mb_takes_no_time_and_no_memory() -> None:
    text = "- name: x\n" * 5_000_000
    tracemalloc.start()
    begin = time.process_time()
    assert the_problem(text)[3] == "longer than 1 MiB; split the file"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin < 1
    assert peak < 1 << 20
