# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of traffic: figures in, the next action and its reason out."""

from __future__ import annotations

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Faults
from ansible_collections.groundwork.supabase.plugins.module_utils.release.edge import Edge, read_answers, threshold
from ansible_collections.groundwork.supabase.plugins.module_utils.release.traffic import (
    Progress,
    Sample,
    Seen,
    carries,
    decide,
    sample_of,
    traffic_of,
)

LIMITS = traffic_of("shop", {})
GOOD = Sample(100, 0, 20)
OLD = Sample(900, 1, 20)
# After the step of 50 %, at which the old container had 900 requests.
LAST = Progress(step=2, reference=OLD)


def hanging(seconds, waiting, old=OLD):
    return Seen(seconds, Sample(1, 0, 20, waiting, seconds), old)


CASES = {
    # Good, and not.
    "good, but not for long enough": (Progress(), Seen(5, GOOD, OLD), "stay", "at 10 % for 5 s: 0 of 100 failed"),
    "good": (Progress(), Seen(15, GOOD, OLD), "forward", "the old one: 1 of 900 failed, nine of ten within 20 ms"),
    "fails, at once": (Progress(), Seen(2, Sample(30, 6, 20), OLD), "back", "more requests fail than before: 20.0 %"),
    "one failure is an accident": (Progress(), Seen(15, Sample(10, 1, 20), OLD), "stay", "1 of 10 failed"),
    "slow": (Progress(), Seen(6, Sample(100, 0, 91), OLD), "back", "91 ms instead of 20 ms"),
    "hardly slower than the old one": (Progress(), Seen(15, Sample(100, 0, 89), OLD), "forward", ""),
    "slow because it has just started": (Progress(), Seen(4, Sample(100, 0, 900), OLD), "stay", ""),
    # What both suffer from condemns neither.
    "the old one fails more": (Progress(), Seen(15, Sample(100, 30, 20), Sample(900, 400, 20)), "forward", ""),
    "the old one is slower": (Progress(), Seen(15, Sample(100, 0, 900), Sample(900, 0, 5000)), "forward", ""),
    # Too few.
    "too few to judge": (Progress(), Seen(59, Sample(29, 0, 20), OLD), "stay", ""),
    "too few for good": (Progress(), Seen(60, Sample(3, 0, 20), OLD), "forward", "too few to judge: 30 were wanted"),
    "none at all": (Progress(), Seen(60, Sample(), Sample()), "forward", "0 of 0 failed, too few"),
    "too few, and they fail": (Progress(), Seen(60, Sample(3, 2, 20), OLD), "back", "more requests fail"),
    "too few to compare times": (Progress(), Seen(60, Sample(29, 0, 900), OLD), "forward", ""),
    "too few old ones to compare times": (Progress(), Seen(15, Sample(100, 0, 900), Sample(29, 0, 9)), "forward", ""),
    # The container itself.
    "crashed": (Progress(), Seen(1, GOOD, OLD, trouble="exited with 137"), "back", "does not serve: exited with 137"),
    "memory": (Progress(), Seen(9, GOOD, OLD, memory=0.92, old_memory=0.4), "back", "fills its memory: 92 %"),
    "memory, as before": (Progress(), Seen(9, GOOD, OLD, memory=0.95, old_memory=0.93), "stay", ""),
    "memory, nobody knows": (Progress(), Seen(9, GOOD, OLD), "stay", ""),
    # No answer makes no figures: it is those that wait which tell.
    "hangs": (Progress(), hanging(6, 8), "back", "hardly any request is answered: 8 wait, 1 were"),
    "hangs, and there is no hurry yet": (Progress(), hanging(4, 8), "stay", ""),
    "two that wait may be uploads": (Progress(), hanging(6, 2), "stay", ""),
    "as many wait at the old one": (Progress(), hanging(6, 8, old=Sample(20, 0, 20, 80, 6)), "stay", ""),
    "holds websockets": (Progress(), hanging(14, 90, old=Sample(2, 0, 20, 900, 14)), "stay", ""),
    "is busy": (Progress(), Seen(6, Sample(100, 0, 20, 50, 6), Sample(900, 0, 20, 10, 6)), "stay", ""),
    "hangs with all requests": (LAST, hanging(6, 600, old=Sample()), "back", "600 wait"),
    "all went home at 100 %": (LAST, hanging(6, 0, old=Sample()), "stay", ""),
    # With all requests it is judged by what the old one did at the step before.
    "good with all requests": (LAST, Seen(15, Sample(1800, 2, 25), Sample()), "forward", "the old one: 1 of 900"),
    "fails with all requests": (LAST, Seen(2, Sample(240, 60, 25), Sample()), "back", "25.0 % instead of 0.1 %"),
    "slow with all requests": (LAST, Seen(15, Sample(300, 0, 400), Sample()), "back", "400 ms instead of 20 ms"),
    "a few late answers of the old one": (LAST, Seen(15, Sample(300, 0, 400), Sample(9, 9, 1)), "back", "400 ms"),
    # Nothing stands beside it any more, and a machine that is busy for a moment slows down everything.
    "slow with all requests, so far": (LAST, Seen(6, Sample(300, 0, 400), Sample()), "stay", ""),
    "many late answers of the old one": (LAST, Seen(6, Sample(1100, 0, 1200), Sample(184, 0, 245)), "stay", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_next_action(case):
    progress, seen, action, reason = CASES[case]
    decision = decide(LIMITS, progress, seen)
    assert decision.action == action, decision.reason
    assert reason in decision.reason


def test_a_good_container_goes_through_all_steps():
    progress, shares = Progress(), []
    while not progress.done(LIMITS):
        shares.append(progress.share(LIMITS))
        progress = decide(LIMITS, progress, Seen(15, GOOD, OLD if shares[-1] < 100 else Sample())).progress
    assert shares == [10, 50, 100]
    assert progress.share(LIMITS) == 100, "it keeps its traffic while others are judged"
    assert progress.reference == OLD


def test_a_step_that_is_not_over_leaves_the_progress():
    for seen in (Seen(5, GOOD, OLD), Seen(5, GOOD, OLD, trouble="exited with 1")):
        assert decide(LIMITS, LAST, seen).progress == LAST


@pytest.mark.parametrize(
    ("asked", "trying", "serving", "expected"),
    [
        (set(), {"shop"}, {"shop"}, False),
        ({"shop"}, {"shop"}, {"shop"}, False),
        # Killed while the own container was replaced.
        ({"shop"}, {"shop"}, set(), True),
        # It does not serve either, or is asked nothing.
        ({"shop"}, set(), set(), False),
        (set(), {"shop"}, set(), False),
    ],
)
def test_what_an_interrupted_run_left_behind(asked, trying, serving, expected):
    assert carries(asked, trying, serving) is expected


def test_figures_of_answers():
    answers = [(200, float(time)) for time in range(1, 101)]
    assert sample_of(answers, 3, 15) == Sample(100, 0, 90.0, 3, 15)
    assert sample_of([(200, 1.0), (502, None), (404, 2.0), (500, 3.0)], 0, 1) == Sample(4, 2, 2.0, 0, 1)
    assert sample_of([], 0, 1) == Sample(seconds=1)


def test_what_is_given_is_checked_all_at_once():
    assert traffic_of("shop", {"steps": [25], "errors": 0.5}).shares == (25, 100)
    with pytest.raises(Faults) as error:
        traffic_of("shop", {"steps": [50, 10], "dwell": 0, "requests": "30", "latency": 0.5, "drian": 1})
    said = str(error.value)
    for cause in ("no key drian", "[50, 10] are no rising", "dwell is 0", "requests is 30", "latency is 0.5"):
        assert cause in said
    for steps in ([], [0], [100], [10, 10], [True], "10", [10.5], None):
        with pytest.raises(Faults, match="no rising percentages"):
            traffic_of("shop", {"steps": steps})
    with pytest.raises(Faults, match="it is not a mapping"):
        traffic_of("shop", True)


# Of Caddy 2.11, shortened.
LOG = r"""
{"logger":"http.log.access","status":200,"uuid":"0a621c04-f39c","latency":36.438471,"upstream":"shop-trial:8080"}
{"logger":"http.log.access.log1","duration":3.1,"status":502,"latency":null,"upstream":"shop:8080","user_agent":""}
{"logger":"http.log.error","msg":"dial tcp: connection refused","status":502,"upstream":"shop:8080"}
{"logger":"http.log.access","status":405,"latency":null,"upstream":null}
{"logger":"http.log.access","status":200,"latency":1.5,"upstream":"cart:8080"}
{"logger":"admin","msg":"\"upstream\":\""}
{"logger":"http.log.access","upstream":"shop:80
"""


def test_answers_are_read_from_the_access_log():
    assert read_answers(LOG, ["shop", "shop-trial"]) == {"shop-trial": [(200, 36.438471)], "shop": [(502, None)]}
    assert read_answers("", ["shop"]) == {"shop": []}


def test_a_share_is_what_a_random_number_has_to_come_before(tmp_path):
    numbers = [f"{number:08x}-f39c" for number in range(0, 2**32, 2**32 // 1000)]
    for share in (0, 1, 10, 50, 99, 100):
        below = sum(number < threshold(share) for number in numbers)
        assert below == pytest.approx(len(numbers) * share / 100, abs=2), share
    edge = Edge(None, tmp_path / "traffic")
    assert edge.asked() == set()
    edge.give("shop", 10)
    edge.give("cart", 0)
    assert edge.asked() == {"shop"}
