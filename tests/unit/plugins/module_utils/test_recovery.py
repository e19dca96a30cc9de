# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore takes, and what it refuses before anything is stopped."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from ansible_collections.groundwork.supabase.plugins.module_utils.recovery.barman import (
    left_out,
    note_end,
    other_database,
    parse_backups,
    read_archive,
    wal_files,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.recovery.choice import (
    Archive,
    BaseBackup,
    Target,
    choose,
    missing_segments,
    parse_time,
    recovery_file,
)
from ansible_collections.groundwork.supabase.plugins.module_utils.recovery.wal import (
    SEGMENT_BYTES,
    Timeline,
    format_lsn,
    parse_history,
    parse_lsn,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PLENTY = MappingProxyType({"server": 1 << 40})


def segment(number: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{number >> 8:08X}{number & 0xFF:08X}"


def backup(name: str, hours: int, number: int) -> BaseBackup:
    ended = NOON + timedelta(hours=hours)
    return BaseBackup(name, ended - timedelta(minutes=5), ended, segment(number), (number + 1) * SEGMENT_BYTES, 1 << 30)


OLD, NEW = backup("old", 0, 10), backup("new", 4, 20)
# A segment each quarter of an hour.
RECEIVED = {segment(number): NOON + timedelta(hours=(number - 9) / 4) for number in range(10, 31)}
ARCHIVE = Archive((OLD, NEW), RECEIVED, NOON + timedelta(hours=6))


def without(number: int) -> Archive:
    return replace(ARCHIVE, segments={name: at for name, at in RECEIVED.items() if name != segment(number)})


def refusal(target: Target, archive: Archive = ARCHIVE, free: Mapping[str, int] = PLENTY) -> str:
    choice = choose(archive, target, free)
    assert choice.backup is None and not choice.segments
    return "\n".join(choice.refusals)


def test_the_newest_state_begins_with_the_newest_backup_and_takes_all_wal_behind_it():
    choice = choose(ARCHIVE, Target(), PLENTY)
    assert choice.backup == NEW
    assert choice.segments == tuple(map(segment, range(20, 31)))


@pytest.mark.parametrize(("hours", "expected"), [(0, OLD), (3.99, OLD), (4, NEW), (6, NEW)])
def test_a_time_begins_with_the_last_backup_that_ended_before_it(hours, expected):
    assert choose(ARCHIVE, Target(time=NOON + timedelta(hours=hours)), PLENTY).backup == expected


def test_a_position_begins_with_the_last_backup_that_ended_before_it():
    assert choose(ARCHIVE, Target(lsn=NEW.end_lsn - 1), PLENTY).backup == OLD
    assert choose(ARCHIVE, Target(lsn=NEW.end_lsn), PLENTY).backup == NEW


def test_a_named_backup_is_taken_where_it_can_lead_to_the_target():
    assert choose(ARCHIVE, Target(backup="old"), PLENTY).backup == OLD
    assert "choose a later target" in refusal(Target(time=NOON + timedelta(hours=1), backup="new"))
    assert "there are old, new" in refusal(Target(backup="older"))


def test_targets_outside_the_window_are_refused_with_its_border():
    assert "before 2026-01-31 12:00:00 UTC" in refusal(Target(time=NOON - timedelta(seconds=1)))
    assert "after 2026-01-31 18:00:00 UTC" in refusal(Target(time=NOON + timedelta(hours=6, seconds=1)))
    assert "before 2026-01-31 12:00:00" in refusal(Target(lsn=5))
    assert format_lsn(31 * SEGMENT_BYTES) in refusal(Target(lsn=31 * SEGMENT_BYTES + 1))


def test_no_backup_at_all():
    assert "playbooks/backup.yml" in refusal(Target(), Archive((), {}, None))


def test_a_gap_is_refused_by_the_name_of_the_segment():
    gap = without(25)
    assert segment(25) in refusal(Target(), gap)
    assert choose(gap, Target(lsn=24 * SEGMENT_BYTES), PLENTY).backup == NEW


def test_a_second_before_a_gap_comes_back_where_all_until_then_was_received():
    gap, last = without(25), RECEIVED[segment(24)]
    # The newer backup ends after that second, so it is the older one and the WAL from there to the gap.
    assert last < NEW.ended and choose(gap, Target(time=last), PLENTY).backup == OLD
    assert segment(25) in refusal(Target(time=last + timedelta(seconds=1)), gap)


def test_a_backup_whose_own_wal_has_not_arrived_is_not_taken():
    # NEW ends with segment 20.
    cut = {name: at for name, at in RECEIVED.items() if name <= segment(19)}
    assert choose(replace(ARCHIVE, segments=cut), Target(), PLENTY).backup == OLD
    begun = replace(ARCHIVE, segments={**cut, segment(20): NOON}, unfinished=frozenset({segment(20)}))
    assert choose(begun, Target(), PLENTY).backup == OLD
    assert "backup new: the WAL that was written while it was taken" in refusal(Target(backup="new"), begun)
    assert choose(replace(begun, unfinished=frozenset()), Target(), PLENTY).backup == NEW


def test_a_gap_before_the_backup_does_not_matter():
    assert choose(without(15), Target(), PLENTY).backup == NEW


def test_every_place_without_room_is_named():
    told = refusal(Target(), free={"node1:/var/lib/docker": 1 << 30, "node2:/var/lib/barman": 1, "roomy": 1 << 40})
    assert "node1:/var/lib/docker: 1.0 GiB are free" in told and "node2:/var/lib/barman" in told and "roomy" not in told


def test_a_change_of_timeline_is_no_gap():
    names = {*map(segment, range(10, 16)), *(segment(number, 2) for number in range(15, 20))}
    assert missing_segments(names, segment(10)) == []
    assert missing_segments(names - {segment(17, 2)}, segment(10)) == [segment(17, 2)]
    second = Timeline(2, ((1, 15 * SEGMENT_BYTES + 5),))
    choice = choose(Archive((OLD,), dict.fromkeys(names, NOON), NOON, (second,)), Target(), PLENTY)
    assert choice.timeline == 2
    assert choice.segments[4:8] == (segment(14), segment(15), segment(15, 2), segment(16, 2))


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


# Until three o'clock the first timeline was written; then segments 13 and later were replaced by those of the second
# one, and at five, by a restore to a moment before that one, both by the third.
REPLACED = Archive(
    (
        backup("first", 0, 10),
        replace(backup("late", 2, 17), first_segment=segment(17)),
        replace(backup("second", 4, 15), first_segment=segment(15, 2)),
    ),
    {
        **{segment(number): at((number - 10) * 0.3) for number in range(10, 21)},
        **{segment(number, 2): at(3 + (number - 13) * 0.5) for number in range(13, 18)},
        **{segment(number, 3): at(5 + (number - 12) * 0.5) for number in range(12, 15)},
    },
    at(6),
    (Timeline(2, ((1, 13 * SEGMENT_BYTES + 7),)), Timeline(3, ((1, 12 * SEGMENT_BYTES + 9),))),
)


@pytest.mark.parametrize(
    ("target", "name", "timeline", "last"),
    [
        (Target(time=at(1)), "first", 1, segment(20)),
        (Target(time=at(2.9)), "late", 1, segment(20)),
        (Target(time=at(3.5)), "first", 2, segment(17, 2)),
        (Target(time=at(4.5)), "second", 2, segment(17, 2)),
        (Target(time=at(5.5)), "first", 3, segment(14, 3)),
        (Target(), "first", 3, segment(14, 3)),
    ],
)
def test_a_second_is_that_of_the_timeline_that_was_in_force(target, name, timeline, last):
    choice = choose(REPLACED, target, PLENTY)
    assert (choice.backup.id, choice.timeline, choice.segments[-1]) == (name, timeline, last)
    # Of a former timeline nothing that was replaced.
    assert timeline == 1 or not {segment(14), segment(20)} & set(choice.segments)


def test_a_backup_that_a_restore_has_replaced_leads_to_no_later_second():
    told = refusal(Target(backup="late"), REPLACED)
    assert "is on timeline 3, to which none of late leads" in told and "playbooks/backup.yml" in told
    assert "none of second leads" in refusal(Target(time=at(5.5), backup="second"), REPLACED)


def test_a_timeline_ends_when_the_database_said_so_last_whatever_the_clock_here_says():
    """This host's clock is an hour behind, so all of the first timeline seems to have come before it did."""
    behind = {name: received - timedelta(hours=1) for name, received in REPLACED.segments.items()}
    archive = replace(REPLACED, segments=behind, ends={1: at(3), 2: at(5)})
    assert choose(replace(archive, ends={}), Target(time=at(2.9)), PLENTY).timeline == 2
    assert choose(archive, Target(time=at(2.9)), PLENTY).timeline == 1
    assert choose(archive, Target(time=at(4.9)), PLENTY).timeline == 2
    assert choose(archive, Target(time=at(5.1)), PLENTY).timeline == 3


def test_the_end_of_a_timeline_is_noted_with_its_last_beat(tmp_path):
    (tmp_path / "main/wals").mkdir(parents=True)
    (tmp_path / "main/wals" / segment(7, 2)).touch()
    beat = tmp_path / "beat.json"
    note_end(tmp_path, beat)
    assert read_archive(tmp_path, (), beat).ends == {}
    for second in (60, 90):
        beat.write_text(json.dumps({"beat": 1, "acknowledged": NOON.timestamp() + second}), encoding="utf-8")
        note_end(tmp_path, beat)
    (tmp_path / "main/wals" / segment(8, 3)).touch()
    note_end(tmp_path, beat)
    assert read_archive(tmp_path, (), beat).ends == dict.fromkeys((2, 3), NOON + timedelta(seconds=91))
    # With the history it goes elsewhere, and out of the way of another database's.
    assert (tmp_path / "main/timelines.json").exists()


def test_a_restore_to_a_position_before_a_fork_leaves_the_timelines_between_there():
    text = "1\t0/F000000\tbefore\n2\t0/5000000\tat a restore point\n"
    assert parse_history("00000003.history", text).former == ((1, 0x5000000), (2, 0x5000000))


def test_a_history_file_names_where_each_timeline_was_left():
    text = "1\t0/3000148\tbefore 2026-01-31 12:00:00+00\n\n2\t1/4000000\tno recovery target specified\n"
    assert parse_history("0000000A.history", text) == Timeline(10, ((1, 0x3000148), (2, 0x104000000)))


def test_segments_of_a_timeline_before_the_backups_do_not_count():
    later = replace(OLD, first_segment=segment(10, 2))
    archive = Archive((later,), dict.fromkeys([segment(10, 2), segment(11, 1), segment(12, 2)], NOON), NOON)
    assert segment(11, 2) in refusal(Target(), archive)


@pytest.mark.parametrize("number", [0, 255, 256, 65535])
def test_segment_names_carry_over_at_256(number):
    assert missing_segments({segment(number), segment(number + 1)}, segment(number)) == []


def test_times_need_a_zone():
    assert parse_time("2026-01-31T13:00:00+01:00") == parse_time("2026-01-31 12:00:00Z") == NOON
    with pytest.raises(ValueError, match="2026-01-31 12:00:00Z for UTC"):
        parse_time("2026-01-31 12:00:00")


def test_positions_are_read_and_written():
    assert format_lsn(parse_lsn("16/B374D848")) == "16/B374D848"
    with pytest.raises(ValueError, match="no position"):
        parse_lsn("B374D848")


def test_the_recovery_has_one_target_whatever_was_there_before():
    own = "max_slot_wal_keep_size = '4GB'\nrecovery_target_name = 'former'\nrestore_command = 'former'\n"
    own += "synchronous_standby_names = 'former'\n"
    text = recovery_file(own, Target(time=NOON), 2)
    assert "recovery_target_timeline = '2'" in text
    assert "max_slot_wal_keep_size" in text and "former" not in text
    assert "recovery_target_time = '2026-01-31 12:00:00.000000+00'" in text
    assert "recovery_target_time =" not in recovery_file(text, Target(lsn=16), 2)
    assert "recovery_target_lsn = '0/10'" in recovery_file(text, Target(lsn=16), 2)
    assert "recovery_target_name = 'it''s'" in recovery_file("", Target(name="it's"), 1)


def test_barmans_catalogue_is_read_without_unfinished_backups():
    listing = {"main": [{"backup_id": "b", "status": "DONE", "size_bytes": 7}, {"backup_id": "c", "status": "FAILED"}]}
    base = {"begin_time_timestamp": "1", "end_time_timestamp": "2", "begin_wal": segment(3), "end_lsn": "0/4000000"}
    (found,) = parse_backups(listing, {"b": {"base_backup_information": base}})
    assert (found.id, found.size, found.end_lsn, found.ended.timestamp()) == ("b", 7, 0x4000000, 2)


def test_the_unfinished_segment_counts_unless_the_finished_one_is_there(tmp_path):
    for folder in ("main/wals/0000000100000000", "main/streaming", "kept"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "main/wals/0000000100000000" / segment(3)).write_bytes(gzip.compress(b"x"))
    (tmp_path / "main/streaming" / f"{segment(4)}.partial").write_bytes(b"x")
    (tmp_path / "kept" / f"{segment(3)}.partial").write_bytes(b"x")
    (tmp_path / "main/wals/00000002.history").write_bytes(gzip.compress(b"1\t0/3000148\twhy\n"))
    (tmp_path / "main/wals/main-xlog.db").write_bytes(b"x")
    files = wal_files(tmp_path)
    assert set(files) == {segment(3), segment(4), "00000002.history"}
    assert files[segment(3)].suffix == "" and files[segment(4)].suffix == ".partial"
    beat = tmp_path / "beat.json"
    os.utime(tmp_path / "main/wals/0000000100000000" / segment(3), (NOON.timestamp() - 60,) * 2)
    os.utime(tmp_path / "main/streaming" / f"{segment(4)}.partial", (NOON.timestamp() - 30,) * 2)
    # A host to which all came from elsewhere has no beat.
    assert read_archive(tmp_path, (), beat).seen == NOON - timedelta(seconds=30)
    beat.write_text(json.dumps({"beat": 1, "acknowledged": NOON.timestamp()}), encoding="utf-8")
    archive = read_archive(tmp_path, (), beat)
    assert archive.seen == NOON and archive.segments.keys() == {segment(3), segment(4)}
    assert archive.timelines == (Timeline(2, ((1, 0x3000148),)),)
    assert archive.unfinished == {segment(4)}


def test_wal_that_is_filed_while_it_is_listed_is_found(tmp_path, monkeypatch):
    received = tmp_path / "main" / "streaming" / segment(1)
    filed = tmp_path / "main" / "wals" / segment(1)[:16] / segment(1)
    for file in (received, filed):
        file.parent.mkdir(parents=True)
    received.touch()
    rglob = type(tmp_path).rglob

    def file_it_after(folder, pattern):
        yield from list(rglob(folder, pattern))
        if received.exists():
            received.rename(filed)

    monkeypatch.setattr(type(tmp_path), "rglob", file_it_after)
    assert set(wal_files(tmp_path)) == {segment(1)}


def test_elsewhere_goes_one_backup_with_the_wal_from_its_begin_on(tmp_path):
    begin = backup("20260131T120000", 0, 0x1FE)
    wals = tmp_path / "main" / "wals"
    # The numbers of a backup's begin, of one before and of one behind it, on its timeline and on others.
    for number, timeline in (
        (0xFF, 2),
        (0x1FD, 2),
        (0x1FE, 2),
        (0x200, 2),
        (0x1FE, 1),
        (0x200, 1),
        (0x1FD, 3),
        (0x1FE, 3),
    ):
        file = wals / segment(number, timeline)[:16] / segment(number, timeline)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (wals / "00000003.history").touch()
    patterns = left_out(tmp_path, replace(begin, first_segment=segment(0x1FE, 2)))
    main = tmp_path / "main"
    assert patterns[:4] == [
        f"{main}/base/*",
        f"!{main}/base/20260131T120000",
        f"{main}/meta/*",
        f"!{main}/meta/20260131T120000-backup.info",
    ]
    assert {pattern for pattern in patterns if "*" not in pattern and "!" not in pattern} == {
        # Whole folders, before it or of a former timeline.
        f"{wals}/{segment(0xFF, 2)[:16]}",
        f"{wals}/{segment(0x1FE, 1)[:16]}",
        f"{wals}/{segment(0x200, 1)[:16]}",
        # In the folder that its first one is in, and that of the same number on a later timeline.
        f"{wals}/{segment(0x1FD, 2)[:16]}/{segment(0x1FD, 2)}",
        f"{wals}/{segment(0x1FD, 3)[:16]}/{segment(0x1FD, 3)}",
    }


def test_another_database_than_the_one_whose_history_is_kept_is_refused(tmp_path):
    assert other_database(tmp_path, "7311") == ""
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "identity.json").write_text(
        json.dumps({"systemid": "7311", "version": "17"}), encoding="utf-8"
    )
    assert other_database(tmp_path, "7311") == other_database(tmp_path, "") == ""
    refused = other_database(tmp_path, "7422")
    assert f"{tmp_path}/main: is the history of database 7311, and the one that runs is 7422" in refused
    assert "docs/backups.md, A database made anew" in refused
