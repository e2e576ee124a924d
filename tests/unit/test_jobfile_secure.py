"""What is said of secure options in job files: what is lost, never read, never sent, and never started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.jobfile import read_job_file
from domain.options.secure import without_secure_defaults
from runbus.cli import exits
from runbus.cli.main import run_command
from schemas.errors import ErrorCode, RunbusError
from schemas.options import Option

TAIL = "\n  sequence: {commands: [{exec: date}]}\n"
SECRET = "DefaultSecret-123"


def warnings(*lines: str) -> list[str]:
    text = "\n  ".join(["- name: j", *lines]) + TAIL
    return read_job_file(text, project="p", file="j.yaml").warnings


def problem(path: str) -> str:
    text = f"- name: j\n  options:\n  - {{name: a, secure: true, storagePath: {json.dumps(path)}}}{TAIL}"
    with pytest.raises(RunbusError) as caught:
        read_job_file(text, project="p", file="j.yaml")
    assert caught.value.code is ErrorCode.INVALID_JOB
    return caught.value.message


class TestDefaults:
    OPTIONS = ("options:", f"- {{name: tok, secure: true, value: {SECRET}}}", "- {name: plain, value: kept}")

    def test_it_is_said_where_it_stands(self) -> None:
        (told,) = warnings(*self.OPTIONS)
        assert told.startswith(
            "j.yaml:3:31: options[0].value: without effect, and not stored: a secure option has no"
        )
        assert SECRET not in told
        assert warnings("options:", "- {name: tok, secure: true, value: ''}") == []

    def test_it_is_not_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "j.yaml"
        file.write_text("\n  ".join(["- name: j", *self.OPTIONS]) + TAIL)
        assert run_command(["job", "check", "--json", str(file)]) == exits.OK
        shown = capsys.readouterr()
        assert SECRET not in shown.out + shown.err
        (checked,) = json.loads(shown.out)
        assert checked["jobs"][0]["options"] == [
            {"name": "tok", "secure": True, "sortIndex": 0}, {"name": "plain", "value": "kept", "sortIndex": 1},
        ]  # fmt: skip

    def test_only_secure_ones_are_dropped(self) -> None:
        (job,) = read_job_file("\n  ".join(["- name: j", *self.OPTIONS]) + TAIL, project="p").jobs
        assert [option.value for option in job.options] == [SECRET, "kept"]
        stored = without_secure_defaults(job)
        assert stored.options == [
            Option(name="tok", secure=True, sort_index=0), Option(name="plain", value="kept", sort_index=1),
        ]  # fmt: skip
        assert without_secure_defaults(stored) is stored


class TestStoragePaths:
    @pytest.mark.parametrize(
        "path",
        [
            "runner/../other/secret", "keys/./a", "keys//a", "keys/a/", "keys/", "keys/a\\b", "keys/a\tb",
            "keys/%2e%2e/a", "keys/%2e%2e/${option.other}", "keys/a%2fb", "keys/${option.a}/../b",
            "keys/${option.a}//b", "${option.a}/../b", "${option.a}/", "runner/${node.name}/%252e%252e/x",
            "keys/" + "a" * 1020,
        ],
    )  # fmt: skip
    def test_what_can_never_be_read(self, path: str) -> None:
        told = problem(path)
        assert told.startswith("j.yaml:3:42: options[0].storagePath: ")
        assert "can never be read; no part of a key's path is empty, '.' or '..'" in told

    @pytest.mark.parametrize("path", ["hunter2", "hunter2/${option.a}", "key/a", "runners/a", "Keys/${option.a}"])
    def test_what_is_no_key_may_be_the_secret(self, path: str) -> None:
        told = problem(path)
        assert told.endswith("options[0].storagePath: no path of a key; it begins with 'keys/' or 'runner/'")
        assert path not in told

    @pytest.mark.parametrize(
        "path",
        [
            "keys/a", "/keys/a/b", "runner/a", "runner/keys/a", "keys/${option.a}", "keys/..${option.a}",
            "${option.a}", "${option.a}/b", "key${option.a}", "keys/a%20b", "keys/%${option.a}", "keys/${option.a}..",
            "keys/project/${job.project}/${job.username}", "keys/50%",
        ],
    )  # fmt: skip
    def test_what_may_be_read(self, path: str) -> None:
        own = f"- {{name: own, secure: true, storagePath: {json.dumps(path)}}}"
        read = read_job_file(f"- name: j\n  options:\n  - {{name: a}}\n  {own}{TAIL}", project="p")
        assert read.jobs[0].options[1].storage_path == path
        assert read.warnings == []


class TestSchedules:
    SCHEDULE = "schedule: {crontab: '0 0 3 * * ? *'}"

    def test_fires_that_will_fail(self) -> None:
        needed = "{name: tok, secure: true, required: true}", "{name: to, required: true}"
        assert warnings(self.SCHEDULE, "options:", *(f"- {each}" for each in needed)) == [
            "j.yaml:2:3: schedule: every fire will fail: option 'to' is required, and nobody is asked for it; give "
            "it a 'value'",
            "j.yaml:2:3: schedule: every fire will fail: option 'tok' is required and secure, and nobody is asked "
            "for it; name a key with 'storagePath'",
        ]

    def test_a_default_does_not_help(self) -> None:
        told = warnings(self.SCHEDULE, "options:", f"- {{name: tok, secure: true, required: true, value: {SECRET}}}")
        assert [": every fire will fail: " in each for each in told] == [True, False]

    @pytest.mark.parametrize(
        "lines",
        [
            ("options: [{name: tok, secure: true, required: true, storagePath: keys/a}]", SCHEDULE),
            ("options: [{name: tok, required: true, value: x}]", SCHEDULE),
            ("options: [{name: tok, required: true, multivalued: true, values: [a], multivalueAllSelected: true}]",
             SCHEDULE),
            ("options: [{name: tok, secure: true}]", SCHEDULE),
            ("options: [{name: tok, secure: true, required: true}]", SCHEDULE, "scheduleEnabled: false"),
            ("options: [{name: tok, secure: true, required: true}]", SCHEDULE, "executionEnabled: false"),
            ("options: [{name: tok, secure: true, required: true}]",),
        ],
    )  # fmt: skip
    def test_fires_that_may_succeed(self, lines: tuple[str, ...]) -> None:
        assert warnings(*lines) == []


class TestNotifications:
    OPTIONS = "options: [{name: tok, secure: true, valueExposed: true}, {name: to}]"

    def test_references_that_are_never_filled_in(self) -> None:
        told = warnings(
            self.OPTIONS,
            "notification:",
            "  onsuccess:",
            "    urls: https://h/${option.tok}?to=${option.to}&again=${option.tok}",
            "  onfailure:",
            "  - email: {recipients: 'a@b.c,${option.to}', subject: '${secureOption.tok}'}",
            "  - plugin: {type: chat, configuration: {deep: {text: ['x', 'y ${unquotedoption.tok}']}}}",
        )
        why = "is never filled in: a notification is given no secure option; take it out"
        assert told[:2] == [
            f"j.yaml:5:7: notification.onsuccess.urls: '${{option.tok}}' {why}",
            f"j.yaml:7:49: notification.onfailure[0].email.subject: '${{secureOption.tok}}' {why}",
        ]
        assert told[2].startswith("j.yaml:8:")
        assert told[2].endswith(f"configuration.deep.text[1]: '${{unquotedoption.tok}}' {why}")
        assert len(told) == 3

    @pytest.mark.parametrize("text", ["${option.to}", "${option.tokens}", "${option.tok", "${job.tok}", "option.tok"])
    def test_others_are(self, text: str) -> None:
        assert not any("filled in" in each for each in warnings(
            self.OPTIONS, "notification:", f"  onsuccess: {{email: {{recipients: a@b.c, subject: '{text}'}}}}"
        ))  # fmt: skip

    def test_a_hostile_text_is_read_in_time(self) -> None:
        hostile = "${option." * 50_000
        assert warnings(
            self.OPTIONS, "notification:", f"  onsuccess: {{email: {{recipients: a@b.c, subject: '{hostile}'}}}}"
        ) == []  # fmt: skip
