"""A page that two processes see."""

from __future__ import annotations

from durable.wire.progress import LABEL_BYTES_MAX, Progress


def test_what_the_host_has_begun_is_seen_by_the_other_side() -> None:
    gateway, descriptor = Progress.share()
    host = Progress.join(descriptor)

    host.numbers[0], host.numbers[1] = 7, 3

    assert [gateway.has_begun(number, of_worker=True) for number in (7, 8)] == [True, False]
    assert [gateway.has_begun(number, of_worker=False) for number in (3, 4)] == [True, False]
    gateway.take_back(9)
    assert host.numbers[2] == 9
    gateway.close()
    host.close()


def test_a_label_is_cut_where_it_is_too_long_and_taken_away_with_the_empty_one() -> None:
    progress = Progress.private()

    assert progress.label == ""
    progress.show_label('Room "café"')
    assert progress.label == 'Room "café"'
    progress.show_label("é" * LABEL_BYTES_MAX)
    assert len(progress.label) == LABEL_BYTES_MAX // 2
    progress.show_label("")
    assert progress.label == ""


def test_of_a_page_that_was_given_back_nothing_has_begun() -> None:
    progress, descriptor = Progress.share()
    host = Progress.join(descriptor)
    host.numbers[0] = 7

    progress.close()
    progress.close()

    assert not progress.has_begun(7, of_worker=True)
    assert progress.label == ""
    host.close()
