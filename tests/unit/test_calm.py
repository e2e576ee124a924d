"""Work on very many objects: without collections meanwhile, and let go of by and by."""

from __future__ import annotations

import gc
import threading

from domain.calm import let_go, uncollected


def test_nothing_is_collected_until_the_last_one_is_done() -> None:
    assert gc.isenabled()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            leave.wait(10.0)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10.0)
    with uncollected():
        assert not gc.isenabled()
    assert not gc.isenabled(), "the other one goes on"
    leave.set()
    thread.join(10.0)
    assert gc.isenabled()


def test_what_is_let_go_of_is_gone_and_others_keep_theirs() -> None:
    theirs = [object() for _ in range(10_000)]
    mine = list(theirs)
    let_go(mine)
    assert (len(mine), len(theirs)) == (0, 10_000)
