"""Everything at once, from one seed: the process never ends, every request is answered, nothing acknowledged is lost.

pytest tests/faults/test_chaos.py                                        a minute
pytest tests/faults/test_chaos.py -m slow                                ten minutes
DURABLE_TEST_SECONDS=1800 pytest tests/faults/test_chaos.py              as long as you say
DURABLE_TEST_SEED=7 pytest tests/faults/test_chaos.py                    the same script again
"""

from __future__ import annotations

import faulthandler
import os
import random
import sys
from pathlib import Path

import pytest

from tests.faults.chaos_campaign import Campaign
from tests.faults.chaos_project import SWALLOWING

SECONDS = float(os.environ.get("DURABLE_TEST_SECONDS", "60"))
SLOW_SECONDS = float(os.environ.get("DURABLE_TEST_SECONDS", "600"))
PATIENCE_SECONDS = 240
"""For everything around the script, on a busy machine."""


def seed() -> int:
    chosen = os.environ.get("DURABLE_TEST_SEED")
    return int(chosen) if chosen else random.SystemRandom().randrange(1_000_000)


async def survive(folder: Path, seconds: float, capsys: pytest.CaptureFixture[str], *, hosts: int) -> None:
    # Pytest ends a run that seems to hang; these tests have limits of their own.
    faulthandler.cancel_dump_traceback_later()
    chosen = seed()
    campaign = Campaign(folder, chosen, hosts=hosts)
    try:
        faults = await campaign.run(seconds)
        assert campaign.dev.end() == 0
    except BaseException:
        print(f"DURABLE_TEST_SEED={chosen}\n{campaign.summary()}")
        raise
    finally:
        campaign.dev.discard()
    told = f"DURABLE_TEST_SEED={chosen}, {seconds:g} s, {hosts} hosts: {campaign.summary()}"
    with capsys.disabled():
        print(f"\n{told}")
    assert not faults, "\n".join([told, *faults[:20]])


@pytest.mark.timeout(SECONDS + PATIENCE_SECONDS)
async def test_nothing_that_is_done_to_it_ends_it_or_loses_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    await survive(tmp_path, SECONDS, capsys, hosts=1)


@pytest.mark.slow
@pytest.mark.timeout(SLOW_SECONDS + PATIENCE_SECONDS)
async def test_nothing_that_is_done_to_two_hosts_for_long_ends_it_or_loses_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    await survive(tmp_path, SLOW_SECONDS, capsys, hosts=2)


DROPPING = """
import itertools
from durable.gateway import router
serve, held = router.Router._serve_waiting, itertools.count(1)
def drop(self):
    # Every third request that was held is answered as if it had never been asked.
    for waiting in list(self._waiting):
        if not waiting.link.done() and next(held) % 3 == 0:
            waiting.link.set_exception(ConnectionResetError("dropped"))
    serve(self)
router.Router._serve_waiting = drop
"""


@pytest.mark.slow
async def test_an_acknowledged_increment_that_the_program_swallows_is_noticed(tmp_path: Path):
    campaign = Campaign(tmp_path, 1, program=SWALLOWING)
    try:
        faults = await campaign.run(0.5)
    finally:
        campaign.dev.discard()
    assert any("was acknowledged as number" in fault for fault in faults), faults


@pytest.mark.slow
async def test_a_router_that_drops_held_requests_is_noticed(tmp_path: Path):
    (tmp_path / "app").mkdir()
    twin = tmp_path / "twin.py"
    twin.write_text(f"import sys\n{DROPPING}\nfrom durable_cli.main import main\nsys.exit(main())\n")
    campaign = Campaign(tmp_path / "app", 2, durable=[sys.executable, str(twin)])
    try:
        faults = await campaign.run(10)
    finally:
        campaign.dev.discard()
    assert any(fault.startswith("not answered") for fault in faults), campaign.summary()
