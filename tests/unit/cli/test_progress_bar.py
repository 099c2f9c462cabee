"""How far a long command is: what is said is what was done, on a terminal and without one."""

from __future__ import annotations

import io

from durable_cli.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_moves() -> None:
    stream, now = Terminal(), [0.0]
    bar = ProgressBar(stream, lambda: now[0])
    bar.show("migrate", 0, 200, 0)
    now[0] = 2.0
    bar.show("migrate", 100, 200, 0)
    bar.show("migrate", 101, 200, 0)
    now[0] = 4.0
    bar.show("migrate", 200, 200, 3)
    bar.end()
    assert stream.getvalue().split("\r\x1b[K")[1:] == [
        "migrate  [........................] 0 of 200 (0 %)",
        "migrate  [############............] 100 of 200 (50 %), 50/s, 2 s left",
        "migrate  [########################] 200 of 200 (100 %), 50/s, 0 s left, 3 failed\n",
    ]


def test_what_an_earlier_run_did_is_no_speed() -> None:
    stream, now = Terminal(), [0.0]
    bar = ProgressBar(stream, lambda: now[0])
    bar.show("migrate", 3700, 10_000, 0)
    now[0] = 1.0
    bar.show("migrate", 4700, 10_000, 0)
    assert stream.getvalue().endswith("4700 of 10000 (47 %), 1000/s, 5 s left")


def test_a_file_has_a_line_per_tenth_of_what_takes_a_while() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream, lambda: 0.0)
    for done in range(0, 2001, 50):
        bar.show("migrate", done, 2000, 0)
    bar.show("sync", 10, 20, 0)
    bar.end()
    assert len(stream.getvalue().splitlines()) == 10
    assert stream.getvalue().splitlines()[-1].endswith("2000 of 2000 (100 %)")


def test_work_whose_end_is_unknown_tells_what_is_done() -> None:
    stream, now = Terminal(), [0.0]
    bar = ProgressBar(stream, lambda: now[0])
    now[0] = 2.0
    bar.show("import", 0, 0, 0)
    now[0] = 4.0
    bar.show("import", 100, 0, 0)
    assert stream.getvalue().split("\r\x1b[K")[1:] == ["import   0 done", "import   100 done, 50/s"]

    file = io.StringIO()
    bar = ProgressBar(file, lambda: 0.0)
    for done in range(1, 2501):
        bar.show("import", done, 0, 0)
    assert file.getvalue().splitlines() == ["import   1000 done", "import   2000 done"]


def test_a_closed_stream_ends_nothing() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    bar = ProgressBar(Gone(), lambda: 0.0)
    bar.show("migrate", 1, 2, 0)
    bar.end()
