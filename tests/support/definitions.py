"""Job definitions for property tests, as the reader makes them of files."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from domain.jobfile.read.jobs import made_uuid
from schemas.jobs import (
    Flow,
    JobCall,
    JobDefinition,
    LogFilter,
    LogLimit,
    NodeDispatch,
    Notification,
    Retry,
    RunnerSelector,
    Schedule,
    SelectorMode,
    Step,
    Strategy,
    Trigger,
)
from schemas.options import Option

# what XML can hold, too, and gives writers of YAML and XML trouble
CHARACTERS = "abcXYZ019 \n\t\r'\"<>&:#-?[]{}|,%@`!=*~;/\\\x7f\x85\xa0\xe9\u2028\u2029\ufeff\ufffd\U0001f600"
TEXT = st.text(CHARACTERS, max_size=20) | st.sampled_from(
    [
        "a\nb\n",
        "a\n\n  b \n",
        "\ta\n",
        "on",
        "5",
        "2024-01-02",
        "~",
        "]]>",
        "<a & 'b'>",
        "x: y # z",
        " ",
        "a\r\nb",
        "- a",
    ]
)
FILLED = TEXT.filter(str.strip)
SOME = TEXT.filter(bool)
WORD = st.text("abcXYZ09_-", min_size=1, max_size=8)
NAME = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="/"), min_size=1, max_size=12)
REFERENCE = WORD.map(lambda word: f"${{option.{word}}}")
DURATION = st.sampled_from(["90", "5m", "1d 2h"]) | REFERENCE
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CONFIG = st.dictionaries(TEXT, PLAIN, max_size=3)
FILTERS = st.lists(st.builds(LogFilter, type=FILLED, config=CONFIG), max_size=2)
FLAG = st.booleans()
PROVIDERS = st.dictionaries(WORD, CONFIG, min_size=1, max_size=2)

NODES = st.builds(
    NodeDispatch,
    filter=TEXT,
    filter_exclude=TEXT,
    exclude_precedence=FLAG,
    threadcount=st.integers(1, 99).map(str) | REFERENCE,
    keepgoing=FLAG,
    rank_attribute=WORD | st.just(""),
    rank_order=st.sampled_from(["ascending", "descending"]),
    success_on_empty_node_filter=FLAG,
)
CALL = st.builds(
    JobCall,
    name=SOME,
    group=WORD | st.just(""),
    uuid=WORD | st.just(""),
    project=WORD | st.just(""),
    args=TEXT,
    use_name=FLAG,
    nodes=st.none() | NODES.filter(lambda nodes: bool(nodes.filter)),
    import_options=FLAG,
    child_nodes=FLAG,
    fail_on_disable=FLAG,
    ignore_notifications=FLAG,
)


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "description": TEXT,
    "log_filters": FILTERS,
    "enabled": FLAG,
    "extras": st.just({}) | PROVIDERS.map(lambda value: {"plugins": {"Other": value}}),
}


def _script(plugin: str, content: str) -> st.SearchStrategy[Step]:
    expands = st.just(True) if plugin == "script" else FLAG
    config = st.fixed_dictionaries(
        {content: FILLED, "expand_tokens": expands},
        optional={
            "args": SOME,
            "interpreter": SOME,
            "interpreter_args_quoted": st.just(True),
            "file_extension": SOME,
        },
    )
    return st.builds(Step, plugin=st.just(plugin), config=config, **COMMON)


KINDS = st.one_of(
    st.builds(Step, plugin=st.just("exec"), config=FILLED.map(lambda text: {"command": text}), **COMMON),
    _script("script", "script"),
    _script("scriptfile", "file"),
    _script("scripturl", "url"),
    st.builds(Step, plugin=FILLED, config=CONFIG, node_step=FLAG, **COMMON),
    st.builds(Step, plugin=st.just("jobref"), call=CALL, node_step=FLAG, **COMMON),
).filter(lambda step: step.plugin not in {"exec-command", "script-inline", "script-file-url"})
HANDLER = st.builds(lambda step, keeps: msgspec.structs.replace(step, keepgoing_on_success=keeps), KINDS, FLAG)
STEP = st.builds(
    lambda step, handler: msgspec.structs.replace(step, error_handler=handler), KINDS, st.none() | HANDLER
)
OPTION = st.builds(
    Option,
    name=WORD,
    description=TEXT,
    label=TEXT,
    value=st.none() | SOME,
    values=st.lists(st.text("ab;.", min_size=1, max_size=4), max_size=3, unique=True).map(tuple),
    values_list_delimiter=st.sampled_from([",", "|"]),
    values_url=st.none() | st.just("https://example.org/x?a=b&c='d'"),
    sort_values=FLAG,
    option_values_plugin_type=st.none() | WORD,
    required=FLAG,
    enforced=FLAG,
    regex=st.none() | st.sampled_from(["^[a-z]+$", "a|'b'"]),
    delimiter=st.sampled_from([",", " ", "\n"]),
    multivalued=FLAG,
    multivalue_all_selected=FLAG,
    is_date=FLAG,
    date_format=st.none() | SOME,
    hidden=FLAG,
    type=st.none() | st.just("file"),
    config=CONFIG,
)
SECURE = st.builds(
    Option, name=WORD, secure=st.just(True), value_exposed=FLAG, storage_path=st.none() | st.just("keys/a/b"),
    extras=st.just({}) | st.dictionaries(WORD, FILLED, min_size=1).map(lambda config: {"configRemoteUrl": config}),
)  # fmt: skip
OPTIONS = st.lists(OPTION | SECURE, max_size=3, unique_by=lambda option: option.name).map(
    lambda options: [msgspec.structs.replace(option, sort_index=index) for index, option in enumerate(options)]
)


SENT = st.one_of(
    st.tuples(
        st.just("email"),
        st.fixed_dictionaries(
            {"recipients": st.just("a@example.org, ${option.who}")},
            optional={"subject": FILLED, "attachLog": FLAG, "attachLogInFile": FLAG, "message": FILLED},
        ),
    ),
    st.tuples(
        st.just("urls"),
        st.fixed_dictionaries(
            {"urls": st.just("https://example.org/?a=${execution.id}&b=c,http://example.org")},
            optional={"httpMethod": st.just("post"), "format": st.sampled_from(["json", "xml"])},
        ),
    ),
    st.tuples(FILLED.filter(lambda name: name not in {"email", "url", "urls"}), CONFIG),
)
NOTIFICATIONS = st.lists(
    st.builds(
        lambda trigger, sent: Notification(trigger=trigger, type=sent[0], config=sent[1]),
        st.sampled_from(Trigger),
        SENT,
    ),
    max_size=4,
).map(lambda found: sorted(found, key=lambda each: list(Trigger).index(each.trigger)))

PARTS = {"time": {"hour": "05", "minute": "01"}, "weekday": {"day": "fri,mon"}, "month": "APR"}
SCHEDULE = st.sampled_from(
    [
        Schedule(crontab="0 30 */6 ? JAN MON *"),
        Schedule(crontab="0 0 0 1 1 ? 2030", time_zone="Europe/Athens"),
        Schedule(crontab="0 01 05 ? APR FRI,MON *", parts=PARTS),
        Schedule(crontab="0 0 0 L * ? *", parts={"dayofmonth": {"day": "L"}}),
        Schedule(crontab="0 0 0 ? * * 2031", parts={"year": "2031"}),
    ]
)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "tags": SOME.filter(str.strip),
        "defaultTab": WORD,
        "schedules": st.lists(WORD, min_size=1, max_size=2),
        "orchestrator": st.fixed_dictionaries({"type": WORD, "configuration": CONFIG}),
        "plugins": st.dictionaries(
            WORD.map(lambda word: f"x{word}"), st.dictionaries(FILLED, CONFIG, min_size=1), min_size=1
        ),
        "excludeFilterUncheck": st.just(True),
        "averageDuration": st.integers(1, 99),
    },
)
SELECTOR = st.sampled_from(
    [
        RunnerSelector(),
        RunnerSelector(mode=SelectorMode.TAGS, filter="linux,dev"),
        RunnerSelector(mode=SelectorMode.FILTER, filter="a+${option.tag}"),
    ]
)


@st.composite
def definitions(draw: st.DrawFn) -> JobDefinition:
    """Jobs as the reader makes them."""
    name, group, uuid = draw(NAME), draw(WORD | st.just("")), draw(st.none() | WORD)
    path = f"{group}/{name}" if group else name
    return JobDefinition(
        uuid=uuid or made_uuid("p", path),
        has_uuid=uuid is not None,
        name=name,
        project="p",
        group=group,
        description=draw(TEXT),
        steps=draw(st.lists(STEP, min_size=1, max_size=3)),
        flow=draw(st.builds(Flow, strategy=st.sampled_from(Strategy), keepgoing=FLAG, log_filters=FILTERS)),
        options=draw(OPTIONS),
        runner=draw(st.none() | SELECTOR),
        runner_editable=draw(FLAG),
        nodes=draw(st.none() | NODES),
        node_filter_editable=draw(FLAG),
        nodes_selected_by_default=draw(FLAG),
        timeout=draw(st.just("") | DURATION),
        retry=draw(
            st.none() | st.builds(Retry, count=st.sampled_from(["0", "3"]) | REFERENCE, delay=st.just("") | DURATION)
        ),
        log_limit=draw(
            st.none()
            | st.builds(
                LogLimit,
                limit=st.sampled_from(["100", "5/node", "5MB"]),
                action=st.sampled_from(["halt", "truncate"]),
                status=WORD,
            )
        ),
        log_level=draw(st.sampled_from(["INFO", "DEBUG"])),
        multiple_executions=draw(FLAG),
        max_multiple_executions=draw(st.none() | st.integers(1, 9)),
        schedule=draw(st.none() | SCHEDULE),
        schedule_enabled=draw(FLAG),
        execution_enabled=draw(FLAG),
        notifications=draw(NOTIFICATIONS),
        average_duration_threshold=draw(st.sampled_from(["", "20%", "+5m"])),
        extras=draw(EXTRAS),
    )
