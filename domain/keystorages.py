"""The key storages of runners, compared: a job must not depend on which runner of a tag set takes it ("Keys")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from domain.keys.needs import Finding, KeyNeed, listed
from domain.keys.paths import SHOWN_CHARS
from schemas.keys import KeyStorageInfo
from schemas.runners import RunnerView
from schemas.tokens import TagSet

NO_KEY_STORAGE = "no_key_storage"
"""The reason in ``details``: as key storages name it."""
_RUNNER = "runner/"


def disagreements(runners: Sequence[RunnerView]) -> list[str]:
    """What to tell of runners that one selector reaches: those without key storage, and those with another one."""
    having = [runner for runner in runners if runner.key_storage]
    if not having:
        return []
    said = []
    if without := [runner.id for runner in runners if not runner.key_storage]:
        said.append(
            f"{listed(sorted(without))} of the selected runners {_has(without)} no key storage; the others have"
        )
    usual = usual_storage(having)
    if others := [runner.id for runner in having if fingerprint(runner.key_storage) != usual]:
        rest = next(runner.id for runner in having if fingerprint(runner.key_storage) == usual)
        said.append(
            f"the key storage of {listed(sorted(others))} is configured differently from that of {rest}: "
            "the same job may find another key there, or none"
        )
    return said


def usual_storage(runners: Sequence[RunnerView]) -> str:
    """The fingerprint that most of them have; of equally many that of the first runner by id."""
    in_order = sorted(runners, key=lambda runner: runner.id)
    counted = Counter(fingerprint(runner.key_storage) for runner in in_order)
    return counted.most_common(1)[0][0]


def fingerprint(storages: Sequence[KeyStorageInfo]) -> str:
    """The same text for the same configuration, whether it answers or not."""
    return "\n".join(sorted(f"{each.type} {each.path} {each.digest}" for each in storages))


def lacking(needs: Iterable[KeyNeed], tags: TagSet, connected: Sequence[RunnerView]) -> list[Finding]:
    """Keys of the runner that some, or all, of those who may take a job have no key storage for.

    Whether a key is there, only its provider knows; that there is none to ask is known before. Of nobody, and of the
    Local Runner, nothing is told.
    """
    if tags.is_local or not connected:
        return []
    groups: dict[tuple[str, ...], list[KeyNeed]] = {}
    for need in needs:
        if need.is_of_runner:
            without = tuple(sorted(each.id for each in connected if not _holds(each.key_storage, need)))
            groups.setdefault(without, []).append(need)
    return [_finding(tags, connected, set(without), some) for without, some in groups.items() if without]


def told_of_runners(needs: Sequence[KeyNeed], tags: TagSet, connected: Sequence[RunnerView]) -> list[Finding]:
    """What is to be said of keys of the runner before one of these runners takes the job.

    Those that lack a key storage, and of those that have one, those that are configured differently.
    """
    return [*lacking(needs, tags, connected), *_differing(needs, tags, connected)]


def _differing(needs: Iterable[KeyNeed], tags: TagSet, connected: Iterable[RunnerView]) -> list[Finding]:
    """Only of runners that would look for these keys: those that cannot are told of already."""
    if tags.is_local:
        return []
    own = [need for need in needs if need.is_of_runner]
    looking = [each for each in connected if any(_holds(each.key_storage, need) for need in own)]
    return [Finding(needs=own, text=text, certain=False) for text in disagreements(looking)]


def _holds(storages: Iterable[KeyStorageInfo], need: KeyNeed) -> bool:
    """Whether a key would be looked for in one of them; of a path that is not known to its end: might be."""
    path = need.path.removeprefix(_RUNNER).removeprefix("keys/")
    known = path.partition("${")[0]
    return any(
        not each.path
        or f"{known}{'/' * need.is_whole}".startswith(f"{each.path}/")
        or (not need.is_whole and f"{each.path}/".startswith(known))
        for each in storages
    )


def _finding(tags: TagSet, connected: Sequence[RunnerView], without: set[str], needs: list[KeyNeed]) -> Finding:
    is_certain = len(without) == len(connected)
    takes = "takes its value" if len(needs) == 1 else "take their values"
    options, paths = [need.label for need in needs], [repr(need.path[:SHOWN_CHARS]) for need in needs]
    subject = (
        f"{listed(options)} {takes} from {listed(paths)}, "
        f"which {'no connected' if is_certain else 'not every'} runner of {tags} can read"
    )
    why = _why([each for each in connected if each.id in without])
    return Finding(
        needs=needs,
        text=f"{subject}: {why}. {_remedy(needs, is_certain=is_certain)}",
        certain=is_certain,
        details={"reason": NO_KEY_STORAGE, "tags": list(tags), "runners": sorted(without)},
    )


def _why(runners: Sequence[RunnerView]) -> str:
    said = []
    if none := sorted(each.id for each in runners if not each.key_storage):
        said.append(f"{listed(none)} {_has(none)} no key storage")
    if some := sorted((each for each in runners if each.key_storage), key=lambda each: each.id):
        ids = [each.id for each in some]
        mounts = sorted({f"{_RUNNER}{storage.path}/" for each in some for storage in each.key_storage})
        said.append(f"{listed(ids)} {_has(ids)} only keys that begin with {listed(mounts)}")
    return "; ".join(said)


def _remedy(needs: Sequence[KeyNeed], *, is_certain: bool) -> str:
    is_of_run, is_of_step = any(need.decides for need in needs), any(need.required for need in needs)
    if not is_certain:
        ends = "the run fails" if is_of_run else "that step fails" if is_of_step else "there is no value"
        return f"Where one of these takes it, {ends}: all runners of a tag set should have the same key storage."
    ends = "" if is_of_run else "That step fails. " if is_of_step else "There is no value. "
    return (
        f"{ends}Start such a runner with RUNBUS_KEY_STORAGE, a file that says where its keys are, select others, or "
        "give it a value."
    )


def _has(runners: Sequence[str]) -> str:
    return "has" if len(runners) == 1 else "have"
