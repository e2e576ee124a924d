"""What the steps ``exec``, ``script`` and ``command`` really run: what a program receives, told by the program."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ErrorCode
from schemas.jobs import Step
from schemas.states import ExecutionState
from tests.support.workflows import CAPTURE, Ran, Rig, a_rig, line, local_nodes, on, run, script

PROGRAM = """
import json, os, sys
print(json.dumps({"args": sys.argv[1:], "value": os.environ.get("RD_OPTION_X")}))
"""
HOSTILE = {
    "quote": "'; touch pwned; '",
    "substitution": "$(touch pwned)",
    "backticks": "`touch pwned`",
    "newline": "one\ntouch pwned\n",
    "carriage return": "one\r\ntouch pwned",
    "both quotes": """a'b"c'"'"'d""",
    "operators": "x && touch pwned; touch pwned | touch pwned & touch pwned > pwned",
    "backslashes": "\\'\\\"\\$HOME\\",
    "glob": "* ? [a-z] {a,b}",
    "tabs and blanks": "\t two  blanks \t",
    "variable": "$HOME ${HOME} $0",
    "reference": "${option.y} @option.y@",
    "unicode": "grüße 你好 \U0001f600 \u2028",
    "history": "!!",
    "tilde": "a ~root",
    "long": "x'" * 5000,
}
OTHER = "from another option"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with a_rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return f"{sys.executable} {path}"


def options(value: str) -> dict[str, Any]:
    return {"context": {"option": {"x": value, "y": OTHER}}}


def received(ran: Ran) -> Any:
    assert ran.end.state is ExecutionState.SUCCEEDED, (ran.message, ran.output("stderr"))
    return json.loads(ran.output())


def untouched(directory: Path) -> bool:
    return not list(directory.rglob("pwned"))


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_a_command_step_gives_the_value_as_one_argument(
    rig: Rig, program: str, tmp_path: Path, value: str
) -> None:
    command = f"{program} ${{option.x}} --a=${{option.x}} 'two words'"
    found = received(await rig.run(run(command), **options(value)))
    assert found["args"] == [value, f"--a={value}", "two", "words"], "a literal loses its quotes, as in the original"
    assert found["value"] == value
    assert untouched(tmp_path)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("nodes", [{}, on("n1")], ids=["own", "node"])
async def test_a_script_gets_the_value_as_one_argument(
    rig: Rig, tmp_path: Path, value: str, nodes: dict[str, Any]
) -> None:
    step = script(PROGRAM, interpreter=sys.executable, args="${option.x} 'with ${option.x}'")
    found = received(await rig.run(step, **options(value), **nodes))
    assert found["args"] == [value, f"with {value}"]
    assert untouched(tmp_path)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_one_quoted_argument_of_an_interpreter_is_one_level_of_quotes(
    rig: Rig, tmp_path: Path, value: str
) -> None:
    """``sh -c`` reads what it is given once more: there the value is quoted for that shell, too."""
    path = tmp_path / "program.py"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}")
    step = script(
        f"#!{sys.executable}\n{PROGRAM}", interpreter="sh -c", interpreter_args_quoted=True, args="${option.x}"
    )
    found = received(await rig.run(step, **options(value)))
    assert found["args"] == [value]
    assert untouched(tmp_path)


async def test_a_list_of_arguments_is_passed_as_it_is(rig: Rig) -> None:
    given = [*HOSTILE.values(), "", "${option.x}"]
    found = received(await rig.run(script(PROGRAM, interpreter=sys.executable, args=given), **options("v")))
    assert found["args"] == given


async def test_a_script_reads_values_from_its_environment_whatever_they_are(rig: Rig, tmp_path: Path) -> None:
    for value in HOSTILE.values():
        ran = await rig.run(script('printf %s "$RD_OPTION_X"'), **options(value))
        assert ran.output() == value
    assert untouched(tmp_path)


async def test_a_token_of_a_script_is_replaced_as_it_stands(rig: Rig) -> None:
    """In the text of a script nothing quotes a value, in the original either: ``docs/jobs.md`` says so."""
    ran = await rig.run(
        script("echo @option.x@ mail@example.com @@ @option.none@.", expand_tokens=True), **options("a")
    )
    assert ran.output() == "a mail@example.com @ .\n"


async def test_tokens_stay_where_they_are_not_asked_for(rig: Rig) -> None:
    ran = await rig.run(script("echo @option.x@", expand_tokens=False), **options("a"))
    assert ran.output() == "@option.x@\n"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("echo one && echo two", "one\ntwo\n"),
        ("echo $RD_OPTION_X", "v\n"),
        ("echo [${option.none}] ${bash_var}.", "[] .\n"),
        ('echo "a   b"', "a b\n"),
        ("echo ${option.x}${option.y}", f"v{OTHER}\n"),
        ("echo ${option.x.delimiter}x", "x\n"),
        ("test ${node.name} = a1 && echo ${job.execid} ${job.project} ${job.username}", "e1 p ann\n"),
    ],
)
async def test_a_command_step_is_a_line_for_the_shell(rig: Rig, command: str, output: str) -> None:
    assert (await rig.run(run(command), **options("v"))).output() == output


async def test_a_line_for_the_shell_is_left_as_it_is(rig: Rig) -> None:
    ran = await rig.run(line('echo "a   b" ${option}x ${HOME:+home}'), **options("v"))
    assert ran.output() == "a   b x\n" or ran.output() == "a   b x home\n"


async def test_a_command_that_is_empty_when_filled_in(rig: Rig) -> None:
    ran = await rig.run(run("${option.none}"))
    assert (ran.end.state, ran.outcome("1").reason) == (ExecutionState.FAILED, "ConfigurationFailure")
    assert "is empty once its references are filled in" in ran.message


async def test_a_value_with_a_nul_fails_its_step_and_nothing_else(rig: Rig) -> None:
    source = line(r"printf 'RUNDECK:DATA:x=a\000b\n'", log_filters=[CAPTURE])
    for step in (run("echo ${data.x}"), script("echo @data.x@"), script("echo", args="${data.x}")):
        ran = await rig.run(source, step)
        assert ran.outcome("1").state is ExecutionState.SUCCEEDED
        if ran.end.state is ExecutionState.FAILED:
            assert ran.end.error is not None
            assert ran.end.error.code is not ErrorCode.INTERNAL, ran.message


async def test_an_argument_that_no_kernel_takes(rig: Rig) -> None:
    ran = await rig.run(run("echo ${option.x}"), **options("x" * 3_000_000))
    assert ran.end.state is ExecutionState.FAILED
    assert ran.end.error is not None
    assert ran.end.error.code is ErrorCode.SPAWN_FAILED, ran.message


async def test_scripts_are_removed_when_they_have_run(rig: Rig, tmp_path: Path) -> None:
    ran = await rig.run(script("echo $0; ls"), script("ls"), **on("a", "b"))
    assert len(ran.lines) == 2 + 4
    assert all("dispatch-script.sh" in each for each in ran.lines)
    assert not list(tmp_path.rglob("*dispatch-script*"))


async def test_a_scripts_name_says_where_it_is_from(rig: Rig) -> None:
    ran = await rig.run(script("basename $0", file_extension="py.x"), **on("n 1/ü"))
    counter, execution, node, name = ran.output().strip().split("-", 3)
    assert counter.isdigit()
    assert (execution, node, name) == ("e1", "n_1__", "dispatch-script.py.x")


async def test_a_script_is_copied_where_the_node_says(rig: Rig, tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.mkdir()
    nodes = local_nodes("a", **{"file-copy-destination-dir": str(place)})
    ran = await rig.run(script("dirname $0; test -x $0 && cat $0 | head -1"), **on("a") | of(nodes))
    assert ran.lines[0] == str(place)
    assert not list(place.iterdir())
    keeping = local_nodes("a", **{"file-copy-destination-dir": str(place), "script-step-remove-tmp-file": "false"})
    await rig.run(script("true"), **of(keeping))
    assert [path.suffix for path in place.iterdir()] == [".sh"]


def of(nodes: Any) -> dict[str, Any]:
    fields = on()
    return {"dispatch": type(fields["dispatch"])(nodes=nodes, filter="x")}


async def test_a_script_that_cannot_be_copied(rig: Rig, tmp_path: Path) -> None:
    nodes = local_nodes("a", **{"file-copy-destination-dir": str(tmp_path / "none")})
    ran = await rig.run(script("true"), **of(nodes))
    assert (ran.end.state, ran.outcome("1", "a").reason) == (ExecutionState.FAILED, "IOFailure")
    assert "Node a: the file" in ran.message
    assert "No such file or directory" in ran.message


@pytest.mark.parametrize(
    ("attribute", "text"),
    [("node-executor", "Node a asks for this node-executor"), ("file-copier", "Node a asks for this file-copier")],
)
async def test_a_node_whose_executor_or_copier_is_not_there(rig: Rig, attribute: str, text: str) -> None:
    nodes = local_nodes("a", **{"file-copy-destination-dir": "/tmp", attribute: "winrm"})
    ran = await rig.run(script("true"), **of(nodes))
    assert ran.outcome("1", "a").reason == "NodeDispatchFailure"
    assert "The winrm plugin was not found on Runner ID = a1." in ran.message
    assert text in ran.message


@pytest.mark.parametrize("config", [{}, {"script": "x", "file": "/x"}, {"script": "x", "unknown": 1}, {"script": 5}])
async def test_a_script_step_that_says_not_what_to_run(rig: Rig, config: dict[str, Any]) -> None:
    ran = await rig.run(Step(plugin="script", config=config))
    assert ran.outcome("1").reason == "ConfigurationFailure"


async def test_a_script_file(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "a job.sh").write_text("echo $1 @option.x@ $RD_OPTION_X")
    file = {"file": f"{tmp_path}/${{option.y}}.sh", "args": "${option.x}"}
    fields: dict[str, Any] = {"context": {"option": {"x": "v", "y": "a job"}}}
    as_it_is = await rig.run(Step(plugin="script", config=file), **fields)
    assert as_it_is.output() == "v @option.x@ v\n"
    expanded = await rig.run(Step(plugin="script", config={**file, "expand_tokens": True}), **fields)
    assert expanded.output() == "v v v\n"


@pytest.mark.parametrize("name", ["none.sh", "", "nul\x00.sh", "x" * 5000])
async def test_a_script_file_that_is_not_there(rig: Rig, tmp_path: Path, name: str) -> None:
    for tokens in (False, True):
        step = Step(plugin="script", config={"file": f"{tmp_path}/{name}", "expand_tokens": tokens})
        ran = await rig.run(step)
        assert ran.outcome("1").reason == "NotFound", ran.message
        assert "is not there on runner a1, or cannot be read by its user" in ran.message


class Site(BaseHTTPRequestHandler):
    """Serves a script, and remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "none" in self.path:
            self.send_error(404)
            return
        body = b"echo fetched $1 @option.x@"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_what: Any) -> None:
        """Nothing to see."""


@pytest.fixture
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Site,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


async def test_a_script_from_a_url(rig: Rig, site: tuple[str, list[str]]) -> None:
    url, asked = site
    step = Step(plugin="script", config={"url": f"{url}/${{option.x}}/s.sh?a=b", "args": "${option.x}"})
    ran = await rig.run(step, **options("a b/&?#../c"))
    assert ran.output() == "fetched a b/&?#../c @option.x@\n"
    assert asked == ["/a%20b%2F%26%3F%23..%2Fc/s.sh?a=b"], "a value is one piece of the path, whatever it holds"


async def test_a_url_of_a_file_on_the_runner(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "a job.sh").write_text("echo here $1")
    step = Step(plugin="scripturl", config={"url": f"file://{tmp_path}/${{option.x}}.sh", "args": "1"})
    assert (await rig.run(step, **options("a job"))).output() == "here 1\n"


async def test_tokens_of_a_script_from_a_url(rig: Rig, site: tuple[str, list[str]]) -> None:
    step = Step(plugin="script", config={"url": f"{site[0]}/s.sh", "expand_tokens": True})
    assert (await rig.run(step, **options("v"))).output() == "fetched v\n"


async def test_a_url_that_gives_nothing(rig: Rig, site: tuple[str, list[str]]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        for url in (f"{site[0]}/none.sh", nobody, "no url", "ftp://x/y", "http://[x/"):
            ran = await rig.run(Step(plugin="script", config={"url": url}))
            assert ran.outcome("1").reason == "IOFailure", ran.message
            assert "could not be fetched by runner a1" in ran.message


async def test_the_interpreter_of_an_empty_script(rig: Rig) -> None:
    assert (await rig.run(script(""))).end.state is ExecutionState.SUCCEEDED


async def test_a_windows_node_is_quoted_for_windows(rig: Rig) -> None:
    nodes = local_nodes("w", osFamily="windows")
    ran = await rig.run(run("printf %s ${option.x}"), **of(nodes), **options('a "b"'))
    assert ran.output() == 'a "b"', "the local shell reads these double quotes as windows does"


def test_the_tests_can_tell(tmp_path: Path) -> None:
    """What an injection would leave is looked for where it would be."""
    (tmp_path / "deep").mkdir()
    assert untouched(tmp_path)
    (tmp_path / "deep" / "pwned").touch()
    assert not untouched(tmp_path)
    assert os.path.exists("/bin/sh")  # noqa: PTH110
