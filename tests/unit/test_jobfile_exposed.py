"""Warnings of secure values that a job gives to programs as arguments, where the process list shows them."""

from __future__ import annotations

import pytest

from tests.support.jobfiles import job, read, xml

OPTIONS = "options: [{name: pw, secure: true, valueExposed: true}, {name: login, secure: true}, {name: open}]"

OVER_SSH = " (over SSH only where the server accepts it: 'AcceptEnv RD_*' in its sshd_config)"


def warnings(step: str, options: str = OPTIONS) -> list[str]:
    return read(job(options, steps=f"sequence: {{commands: [{{{step}}}]}}")).warnings


@pytest.mark.parametrize(
    "line",
    [
        "mysql -p${option.pw}",
        "echo a; mysql ${option.pw}",
        "true && mysql -p ${unquotedoption.pw}",
        "echo x | curl -u a:${option.pw} localhost",
        "A=1 mysql ${secureOption.pw}",
        "if true; then mysql ${option.pw}; fi",
    ],
)
def test_a_program_in_a_command_step(line: str) -> None:
    assert warnings(f"exec: '{line}'") == [
        "f.yaml:3:24: sequence.commands[0].exec: the value of the secure option 'pw' stands in the process list of "
        "the node for as long as the program that is given it here runs: give it by standard input, or read "
        f"$RD_OPTION_PW in a script{OVER_SSH}"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "echo ${option.pw} | mysql --password-stdin",
        "sleep 2; echo ${option.pw}",
        "MYSQL_PWD=${option.pw} mysql",
        "mysql ${option.open} ${option.login} ${option.none}",
        "mysql $RD_OPTION_PW @option.pw@",
    ],
)
def test_what_the_shell_does_itself_and_what_is_no_value(line: str) -> None:
    assert warnings(f"exec: '{line}'") == []


def test_each_line_is_a_command() -> None:
    assert len(warnings('exec: "echo ${option.pw}\\nmysql ${option.pw}"')) == 1


@pytest.mark.parametrize("kind", ["script: ls", "scriptfile: /x", "scripturl: 'http://x'"])
def test_arguments_of_a_script_and_of_its_interpreter(kind: str) -> None:
    (args, interpreter) = warnings(f"{kind}, args: '-p ${{option.pw}}', scriptInterpreter: 'su ${{option.pw}} -c'")
    assert args.endswith(
        "commands[0].args: the value of the secure option 'pw' stands in the process list of the node for as long as "
        f"the script runs: give it by standard input, or read $RD_OPTION_PW in the script{OVER_SSH}"
    )
    assert "commands[0].scriptInterpreter: the value" in interpreter


def test_a_handler_and_the_old_names() -> None:
    handler = "exec: ls, errorhandler: {script: ls, args: '${option.pw}'}"
    (warning,) = warnings(handler)
    assert "commands[0].errorhandler.args: " in warning
    (warning,) = warnings("type: exec-command, configuration: {adhocRemoteString: 'mysql ${option.pw}'}")
    assert "commands[0].configuration.adhocRemoteString: " in warning


def test_a_called_job_is_no_process() -> None:
    assert warnings("jobref: {name: x, args: '-pw ${option.pw}'}") == []


def test_an_option_that_scripts_do_not_see_is_not_filled_in() -> None:
    assert warnings("exec: 'mysql ${option.pw}'", "options: [{name: pw, secure: true}]") == []


def test_xml() -> None:
    options = '<context><options><option name="pw" secure="true" valueExposed="true"/></options></context>'
    steps = "<command><script>ls</script><scriptargs>${option.pw}</scriptargs></command>"
    (warning,) = read(xml(options, steps=steps)).warnings
    assert "commands[0].args: the value of the secure option 'pw'" in warning
