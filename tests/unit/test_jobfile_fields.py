"""What each field of a job file becomes; literal values are checked when the file is read."""

from __future__ import annotations

from typing import Any

import pytest

from domain.jobfile import FORMATS, read_job_file, write_job_file
from schemas.jobs import (
    Flow,
    JobCall,
    LogFilter,
    LogLimit,
    NodeDispatch,
    Notification,
    Retry,
    Schedule,
    Step,
    Strategy,
    Trigger,
)
from schemas.options import Option
from tests.support.jobfiles import STEPS, job, one, one_step, read, step, the_problem

DISPATCH = "nodefilters.dispatch"


def option(text: str) -> Option:
    (only,) = one(job(f"options: [{{name: o, {text}}}]")).options
    return only


@pytest.mark.parametrize("text", ["120", "1d 2h 3m 4s", "1h30m", "0", "${option.t}", "${option.a}s"])
def test_a_timeout_stays_as_it_is_written(text: str) -> None:
    assert one(job(f"timeout: '{text}'")).timeout == text
    assert one(job("timeout: 120")).timeout == "120"


@pytest.mark.parametrize("text", ["5x", "1m 2m", "m5", "-5", "'1:30'", "true", "[5]", "1.5"])
def test_a_timeout_that_is_none(text: str) -> None:
    assert the_problem(job(f"timeout: {text}"))[3].startswith("expected a duration, got ")


def test_what_holds_where_a_file_says_nothing() -> None:
    found = one(job())
    assert (found.log_level, found.flow, found.nodes, found.schedule) == ("INFO", Flow(), None, None)
    assert (found.node_filter_editable, found.nodes_selected_by_default) == (True, True)
    assert (found.schedule_enabled, found.execution_enabled, found.multiple_executions) == (True, True, False)
    assert (found.timeout, found.retry, found.log_limit, found.has_uuid, found.extras) == ("", None, None, False, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retry: '3'", Retry(count="3")),
        ("retry: 0", Retry(count="0")),
        ("retry: ${option.r}", Retry(count="${option.r}")),
        ("retry: {retry: 2, delay: 1m}", Retry(count="2", delay="1m")),
        ("retry: {retry: 2, delay: '${option.d}'}", Retry(count="2", delay="${option.d}")),
        ("retry: 2\nretryDelay: 10", Retry(count="2", delay="10")),
        ("retry:", None),
    ],
)
def test_retry(text: str, expected: Retry | None) -> None:
    assert one(job(text)).retry == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loglimit: 100", LogLimit(limit="100")),
        ("loglimit: 100/node\nloglimitAction: truncate", LogLimit(limit="100/node", action="truncate")),
        ("loglimit: 5MB\nloglimitStatus: too much", LogLimit(limit="5MB", status="too much")),
    ],
)
def test_log_limit(text: str, expected: LogLimit) -> None:
    assert one(job(text)).log_limit == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crontab: '0 30 */6 ? Jan Mon *'", Schedule(crontab="0 30 */6 ? JAN MON *")),
        ("crontab: '0  0 12 * * ?'", Schedule(crontab="0 0 12 * * ? *")),
        (
            "{time: {hour: '05', minute: '01', seconds: 0}, month: 'apr,may', year: '*', weekday: {day: 'FRI,mon'}}",
            Schedule(
                crontab="0 01 05 ? APR,MAY FRI,MON *",
                parts={
                    "time": {"hour": "05", "minute": "01", "seconds": "0"},
                    "weekday": {"day": "FRI,mon"},
                    "month": "apr,may",
                    "year": "*",
                },
            ),
        ),
        (
            "{dayofmonth: {day: 5}, weekday: {day: MON}}",
            Schedule(crontab="0 0 0 5 * ? *", parts={"weekday": {"day": "MON"}, "dayofmonth": {"day": "5"}}),
        ),
        ("{time: {hour: 6}}", Schedule(crontab="0 0 6 ? * * *", parts={"time": {"hour": "6"}})),
    ],
)
def test_schedule(text: str, expected: Schedule) -> None:
    text = text if text.startswith("{") else f"{{{text}}}"
    assert one(job(f"schedule: {text}")).schedule == expected


def test_a_time_zone_goes_with_a_schedule() -> None:
    found = one(job("timeZone: Europe/Athens\nschedule: {crontab: '0 0 12 * * ?'}")).schedule
    assert found == Schedule(crontab="0 0 12 * * ? *", time_zone="Europe/Athens")
    assert one(job("timeZone: Europe/Athens")).extras == {"timeZone": "Europe/Athens"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{filter: 'tags: web'}", NodeDispatch(filter="tags: web")),
        ("{filter: ''}", NodeDispatch()),
        ("{filter: a, filterExclude: b}", NodeDispatch(filter="a", filter_exclude="b")),
        (
            "{filter: a, dispatch: {threadcount: 4, keepgoing: true, excludePrecedence: false, rankAttribute: r, "
            "rankOrder: descending, successOnEmptyNodeFilter: true}}",
            NodeDispatch(
                filter="a",
                threadcount="4",
                keepgoing=True,
                exclude_precedence=False,
                rank_attribute="r",
                rank_order="descending",
                success_on_empty_node_filter=True,
            ),
        ),
        ("{filter: a, dispatch: {threadcount: '${option.n}'}}", NodeDispatch(filter="a", threadcount="${option.n}")),
        (
            "{include: {tags: web, name: 'a b'}, exclude: {os-family: windows}}",
            NodeDispatch(filter='tags: web name: "a b" !os-family: windows'),
        ),
        ("{}", None),
    ],
)
def test_node_filters(text: str, expected: NodeDispatch | None) -> None:
    assert one(job(f"nodefilters: {text}")).nodes == expected


def test_a_dispatch_without_a_filter_is_kept_and_warned_of() -> None:
    file = read(job("nodefilters: {dispatch: {threadcount: 4, keepgoing: false}}"))
    assert file.jobs[0].nodes is None
    assert file.jobs[0].extras == {"nodefilters": {"dispatch": {"threadcount": "4"}}}
    (warning,) = file.warnings
    assert "nodefilters: kept, and without effect: there is no 'filter'" in warning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("required: true, enforced: 'true'", {"required": True, "enforced": True}),
        ("secure: 'true', valueExposed: 'false', storagePath: keys/a", {"secure": True, "storage_path": "keys/a"}),
        ("value: 12", {"value": "12"}),
        ("value: ''", {}),
        ("values: [b, a, ' a ', 1], valuesListDelimiter: ';'",
         {"values": ("b", "a", "1"), "values_list_delimiter": ";"}),
        ("values: one", {"values": ("one",)}),
        ("multivalued: true, delimiter: ' ', multivalueAllSelected: true",
         {"multivalued": True, "delimiter": " ", "multivalue_all_selected": True}),
        ("isDate: true, dateFormat: MM/DD", {"is_date": True, "date_format": "MM/DD"}),
        ("type: file, config: {a: b}, hidden: true", {"type": "file", "config": {"a": "b"}, "hidden": True}),
        ("valuesUrl: 'http://x', sortValues: true, regex: '[a-z]+'",
         {"values_url": "http://x", "sort_values": True, "regex": "[a-z]+"}),
        ("configRemoteUrl: {jsonFilter: $.a}", {"extras": {"configRemoteUrl": {"jsonFilter": "$.a"}}}),
    ],
)  # fmt: skip
def test_options(text: str, expected: dict[str, Any]) -> None:
    assert option(text) == Option(name="o", sort_index=0, **expected)


def test_options_are_in_the_order_of_their_list_and_else_of_their_names() -> None:
    listed = one(job("options: [{name: b, sortIndex: 9}, {name: a}]")).options
    named = one(job("options: {b: {value: x}, c: , a: {sortIndex: 5}}")).options
    assert [(each.name, each.sort_index) for each in listed] == [("b", 0), ("a", 1)]
    assert [(each.name, each.sort_index) for each in named] == [("a", 0), ("b", 1), ("c", 2)]


def test_values_that_hold_their_delimiter_come_apart_as_in_the_original() -> None:
    file = read(job("options: [{name: o, values: ['a,b', c]}]"))
    assert file.jobs[0].options[0].values == ("a", "b", "c")
    assert "options[0].values: read as 3 values: they hold ','" in file.warnings[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exec: ls -l", Step(plugin="exec", config={"command": "ls -l"})),
        ("exec: 5", Step(plugin="exec", config={"command": "5"})),
        ("exec: true", Step(plugin="exec", config={"command": "true"})),
        ("script: a, interpreterArgsQuoted: 'true', args: ''",
         Step(plugin="script", config={"script": "a", "interpreter_args_quoted": True, "expand_tokens": True})),
        ("scriptfile: /a, expandTokenInScriptFile: true",
         Step(plugin="scriptfile", config={"file": "/a", "expand_tokens": True})),
        ("scripturl: 'http://x/a', scriptInterpreter: sh, fileExtension: .sh",
         Step(plugin="scripturl", config={"url": "http://x/a", "interpreter": "sh", "file_extension": ".sh",
                                          "expand_tokens": False})),
        ("type: x, nodeStep: false, configuration: {a: 1}", Step(plugin="x", config={"a": 1}, node_step=False)),
        ("type: exec-command, nodeStep: true, configuration: {adhocRemoteString: ls}",
         Step(plugin="exec", config={"command": "ls"})),
        ("exec: a, enabled: false, keepgoingOnSuccess: true",
         Step(plugin="exec", config={"command": "a"}, enabled=False, keepgoing_on_success=True)),
        ("exec: a, errorhandler: {exec: b, keepgoingOnSuccess: true}",
         Step(plugin="exec", config={"command": "a"},
              error_handler=Step(plugin="exec", config={"command": "b"}, keepgoing_on_success=True))),
        ("exec: a, plugins: {LogFilter: [{type: quiet-output, config: {regex: x}}, {type: y}]}",
         Step(plugin="exec", config={"command": "a"},
              log_filters=[LogFilter(type="quiet-output", config={"regex": "x"}), LogFilter(type="y")])),
        ("exec: a, plugins: {LogFilter: {type: y}}",
         Step(plugin="exec", config={"command": "a"}, log_filters=[LogFilter(type="y")])),
        ("jobref: {name: j, group: /g/, args: -a b, nodeStep: 'true', importOptions: true}",
         Step(plugin="jobref", call=JobCall(name="j", group="g", args="-a b", import_options=True))),
        ("jobref: {uuid: u, useName: false, failOnDisable: 'true', childNodes: true, ignoreNotifications: true}",
         Step(plugin="jobref", node_step=False,
              call=JobCall(uuid="u", fail_on_disable=True, child_nodes=True, ignore_notifications=True))),
        ("jobref: {name: j, nodefilters: {filter: a, dispatch: {threadcount: 2, nodeIntersect: true}}}",
         Step(plugin="jobref", node_step=False,
              call=JobCall(name="j", nodes=NodeDispatch(filter="a", threadcount="2", intersect=True)))),
        ("jobref: {name: j}, importOptions: true, project: q",
         Step(plugin="jobref", node_step=False, call=JobCall(name="j", import_options=True, project="q"))),
    ],
)  # fmt: skip
def test_steps(text: str, expected: Step) -> None:
    assert one_step(step(text)) == expected


def test_a_step_under_conditions_is_kept_and_warned_of() -> None:
    file = read(step("type: conditional, conditionGroups: [[{a: b}]], subSteps: [{exec: ls}]"))
    kept = {"conditionGroups": [[{"a": "b"}]], "subSteps": [{"exec": "ls"}]}
    assert file.jobs[0].steps == [Step(plugin="conditional", node_step=False, extras=kept)]
    assert "it cannot run" in file.warnings[0]


@pytest.mark.parametrize(
    ("text", "flow"),
    [
        ("strategy: parallel, keepgoing: true", Flow(strategy=Strategy.PARALLEL, keepgoing=True)),
        ("strategy: step-first", Flow(strategy=Strategy.SEQUENTIAL)),
        ("pluginConfig: {WorkflowStrategy: {node-first: null}}", Flow()),
        ("pluginConfig: {LogFilter: [{type: mask-passwords, config: {color: blue}}]}",
         Flow(log_filters=[LogFilter(type="mask-passwords", config={"color": "blue"})])),
    ],
)  # fmt: skip
def test_flow(text: str, flow: Flow) -> None:
    assert one(job(steps=f"sequence: {{{text}, commands: [{{exec: ls}}]}}")).flow == flow


MAIL = {"recipients": "a@example.org"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("onsuccess: {email: {recipients: a@example.org, attachLog: 'true'}}",
         [(Trigger.SUCCESS, "email", {**MAIL, "attachLog": True})]),
        ("onfailure: {recipients: a@example.org}", [(Trigger.FAILURE, "email", MAIL)]),
        ("onstart: {urls: 'http://x/a,http://x/b', httpMethod: get, format: json}",
         [(Trigger.START, "urls", {"urls": "http://x/a,http://x/b", "httpMethod": "get", "format": "json"})]),
        ("onavgduration: {plugin: {type: chat, configuration: {room: ops}}}",
         [(Trigger.AVERAGE_DURATION, "chat", {"room": "ops"})]),
        ("onretryablefailure: {plugin: [{type: a}, {type: b, configuration: {c: 1}}]}",
         [(Trigger.RETRYABLE_FAILURE, "a", {}), (Trigger.RETRYABLE_FAILURE, "b", {"c": 1})]),
        ("onfailure: [{email: {recipients: a@example.org}}, {urls: 'http://x'}, {plugin: [{type: a}]}]",
         [(Trigger.FAILURE, "email", MAIL), (Trigger.FAILURE, "urls", {"urls": "http://x"}),
          (Trigger.FAILURE, "a", {})]),
        ("onfailure: {urls: 'http://x'}, onstart: {urls: 'http://y'}",
         [(Trigger.START, "urls", {"urls": "http://y"}), (Trigger.FAILURE, "urls", {"urls": "http://x"})]),
    ],
)  # fmt: skip
def test_notifications(text: str, expected: list[tuple[Trigger, str, dict[str, Any]]]) -> None:
    wanted = [Notification(trigger=trigger, type=kind, config=config) for trigger, kind, config in expected]
    assert one(job(f"notification: {{{text}}}")).notifications == wanted


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("plugins: {ExecutionLifecycle: {a: {b: c}}}", "lifecycle plugins of the original are not run"),
        ("plugins: {ExecutionLifecycle: {a: }}", "lifecycle plugins of the original are not run"),
        ("orchestrator: {type: subset, configuration: {count: '1'}}", "nodes take turns by rank"),
        ("schedules: [nightly]", "the job does not run by schedules that are defined outside"),
        ("jobQueueEnabled: true", "not queued behind one another"),
        ("retryDelay: 10", "beside 'retry' only"),
        ("loglimitAction: halt", "beside 'loglimit' only"),
    ],
)
def test_what_has_no_effect_here_is_kept_and_warned_of(field: str, words: str) -> None:
    file = read(job(field))
    (warning,) = file.warnings
    assert field.partition(":")[0] in warning
    assert words in warning
    assert list(file.jobs[0].extras) == [field.partition(":")[0]]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (job("Group: a"), "Group", "kept, and without effect: unknown field; did you mean 'group'?"),
        (job("'a b': {c: [1, null, true]}"), "'a b'", "kept, and without effect: unknown field 'a b'"),
        (job("context: {options: 5}"), "context", "kept, and without effect: unknown field"),
        (job("logging: [5]\nelement: {name: x}"), "logging", "kept, and without effect: unknown field"),
        (job("options: [{name: a, requird: true, 'b c': 1.5}]"), "options[0].requird", "kept, and without effect"),
        (job("options: [{name: a, element: x, arg: [y]}]"), "options[0].arg", "kept, and without effect"),
        (step("exec: ls, retries: 3, scriptargs: a"), "sequence.commands[0].retries", "kept, and without effect"),
        (step("jobref: {name: a, arg: b, wait: 1}"), "sequence.commands[0].jobref.wait", "kept, and without effect"),
        (job(steps="sequence: {cmds: [], commands: [{exec: a}]}"), "sequence.cmds", "kept, and without effect"),
    ],
)
def test_an_unknown_field_is_kept_in_each_format_and_warned_of(text: str, path: str, words: str) -> None:
    file = read(text)
    assert any(f" {path}: {words}" in warning for warning in file.warnings)
    for form in FORMATS:
        written = write_job_file(file.jobs, form)
        assert read_job_file(written, project="p", file="f").jobs == file.jobs, written


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (job("notification: {onsucess: {urls: 'http://x'}}"), "notification.onsucess"),
        (job("nodefilters: {filter: a, dispatch: {threadCount: 2}}"), "nodefilters.dispatch.threadCount"),
        (job("retry: {retry: 2, delays: 5}"), "retry.delays"),
    ],
)
def test_an_unknown_field_of_a_small_map_is_ignored_with_a_warning(text: str, path: str) -> None:
    (warning,) = read(text).warnings
    assert f" {path}: ignored: unknown field; did you mean" in warning


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ("tags: a,b", {"tags": "a,b"}),
        ("defaultTab: nodes", {"defaultTab": "nodes"}),
        ("averageDuration: 5", {"averageDuration": 5}),
        ("schedules: []", {}),
        ("plugins: {ExecutionLifecycle: {}}", {}),
        ("notifyAvgDurationThreshold:", {}),
    ],
)
def test_what_no_run_would_show_is_kept_in_silence(field: str, kept: dict[str, Any]) -> None:
    file = read(job(field))
    assert (file.jobs[0].extras, file.warnings) == (kept, [])


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (job("retry: -1"), "retry", "'-1' is no whole number from 0 up"),
        (job("retry: {delay: soon, retry: 1}"), "retry.delay", "expected a duration"),
        (job("loglimit: lots"), "loglimit", "'lots' is no log limit"),
        (job("loglimit: 5\nloglimitAction: stop"), "loglimitAction", "'stop' is not known; use halt or truncate"),
        (job("loglevel: LOUD"), "loglevel", "'LOUD' is not known"),
        (job("maxMultipleExecutions: 0"), "maxMultipleExecutions", "'0' is no whole number from 1 up"),
        (job("multipleExecutions: 'false'"), "multipleExecutions", "the original takes this text for true"),
        (job("timeZone: Mars/Base"), "timeZone", "'Mars/Base' is no time zone"),
        (job("schedule: {crontab: '5 4 * * *'}"), "schedule.crontab", "5 fields"),
        (job("schedule: {time: {hour: 25}}"), "schedule", "25"),
        (job("schedule: {weekdays: MON}"), "schedule.weekdays", "did you mean 'weekday'?"),
        (job("nodefilters: {filter: a, dispatch: {threadcount: 0}}"), f"{DISPATCH}.threadcount", "'0' is no"),
        (job("nodefilters: {filter: a, dispatch: {threadcount: x}}"), f"{DISPATCH}.threadcount", "'x' is no"),
        (job("nodefilters: {filter: a, dispatch: {rankOrder: up}}"), f"{DISPATCH}.rankOrder", "'up'"),
        (job("options: [{value: a}]"), "options[0]", "no 'name'"),
        (job("options: [{name: a b}]"), "options[0].name", "cannot name an option"),
        (job("options: [{name: a}, {name: a}]"), "options", "two options are named 'a'"),
        (job("options: [{name: a, regex: '['}]"), "options[0].regex", "is no valid regex"),
        (job("options: [{name: a, secure: true, multivalued: true}]"), "options[0].multivalued", "one value"),
        (job("options: [{name: a, secure: true, storagePath: x}]"), "options[0].storagePath", "begins with 'keys/'"),
        (job("runnerselector: {}"), "runnerselector", "did you mean 'runnerSelector'?"),
        (step("jobref: {name: a, NodeFilters: {}}"), "sequence.commands[0].jobref.NodeFilters", "'nodefilters'?"),
        (job("notification: {onstart: {urls: 'ftp://x'}}"), "notification.onstart", "neither http nor https"),
        (job("notification: {onstart: {email: {subject: a}}}"), "notification.onstart", "'recipients' is empty"),
        (job("notification: {onstart: {plugin: {configuration: {a: b}}}}"), "notification.onstart.plugin",
         "no 'type'"),
        (job("plugins: {LogFilter: [{type: a}]}"), "plugins", "put them into sequence.pluginConfig.LogFilter"),
        (step("jobref: {group: g}"), "sequence.commands[0].jobref", "names no job"),
        (step("exec: a, plugins: {LogFilter: [{config: {a: b}}]}"), "sequence.commands[0].plugins.LogFilter[0]",
         "no 'type'"),
        (job(steps="sequence: {strategy: node-frist, commands: [{exec: a}]}"), "sequence.strategy", "is no strategy"),
        (f"name: n\nNodeFilters: {{}}\n{STEPS}", "NodeFilters", "did you mean 'nodefilters'?"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, path: str, words: str) -> None:
    found = the_problem(text)
    assert found[2] == path
    assert words in found[3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exec: a, args: b", "args: kept, and without effect: it goes with script or scriptfile or scripturl"),
        ("script: a, configuration: {b: c}", "configuration: kept, and without effect: it goes with type"),
        ("type: x, nodeStep: true, config: {b: c}", "the original reads 'configuration' only"),
        ("exec: a, passSecureInput: 'true'", "passSecureInput: kept, and without effect"),
        ("script: a, args: 0755", "args: read as '493', which is what YAML takes '0755' for; quote it"),
    ],
)
def test_what_a_step_does_not_read_is_warned_of(text: str, words: str) -> None:
    (warning,) = read(step(text)).warnings
    assert words in warning
