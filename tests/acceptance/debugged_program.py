"""A program that stops in debuggers of every kind, for tests on a terminal and without one."""

from __future__ import annotations

import sys

PROGRAM = """\
import asyncio, io, os, pdb, time
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def here(self):
        answer = 40
        breakpoint()
        answer += 2
        print("the room says", answer)
        return answer

    async def by_hand(self):
        pdb.set_trace(header="look here")
        return "by hand"

    async def after_death(self):
        try:
            {}["missing"]
        except KeyError:
            pdb.post_mortem()
        return "survived"

    async def waits(self):
        breakpoint()
        await asyncio.sleep(0.3)
        return "waited"

    async def long(self):
        breakpoint()
        for _ in range(200):
            print("working")
            time.sleep(0.01)
        return "through"

    async def in_a_thread(self):
        def work():
            breakpoint()
            return "worked"

        return await asyncio.to_thread(work)

    async def elsewhere(self):
        words, said = io.StringIO("p 6 * 7\\nc\\n"), io.StringIO()
        pdb.Pdb(stdin=words, stdout=said).set_trace()
        return said.getvalue()

    async def twice_at_once(self):
        def work():
            breakpoint()
            return 1

        worker = asyncio.get_running_loop().run_in_executor(None, work)
        time.sleep(0.05)
        breakpoint()
        return 1 + await worker

    async def pid(self):
        return os.getpid()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        method, _, name = urlsplit(request.url).path[1:].partition("/")
        if not method:
            return Response("hello")
        return Response(str(await getattr(self.env.ROOM.get_by_name(name or "a"), method)()))
"""
AT_ONCE = sys.version_info >= (3, 13)
"""pdb stands at the line of `breakpoint()`, and not at the one behind it (docs.python.org/3/whatsnew/3.13)."""
LINE = PROGRAM.splitlines().index("        answer += 2") + (0 if AT_ONCE else 1)
"""Where pdb stands in `here`."""
