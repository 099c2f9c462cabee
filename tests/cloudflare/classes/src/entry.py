"""Accounts: four levels of classes, two of which are bound."""

from urllib.parse import parse_qs, urlparse

from stored import Audited, Stored
from workers import Response, WorkerEntrypoint


class Account(Stored):
    schema = "CREATE TABLE IF NOT EXISTS moves(id INTEGER PRIMARY KEY, cents INTEGER)"
    fee = 0

    async def move(self, cents):
        if not await self.allows(cents):
            raise ValueError(f"{self.kind()} does not allow {cents}")
        self.sql.exec("INSERT INTO moves(cents) VALUES(?)", cents - self.fee)
        return await self.balance()

    async def balance(self):
        return self.value("SELECT coalesce(sum(cents), 0) AS value FROM moves")

    async def allows(self, cents):
        return True

    def kind(self):
        return f"{type(self).__name__} in {self.env.CURRENCY}"


class Checking(Account):
    fee = 1


class Savings(Audited, Account):
    async def allows(self, cents):
        self.note(f"asked for {cents}")
        return await super().balance() + cents >= 0

    async def move(self, cents):
        balance = await super().move(cents)
        self.note(f"now {balance}")
        return balance


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlparse(request.url)
        kind, name, what = url.path.strip("/").split("/")
        stub = getattr(self.env, kind.upper()).getByName(name)
        try:
            if what == "move":
                return Response.json(await stub.move(int(parse_qs(url.query)["cents"][0])))
            return Response.json(await getattr(stub, what)())
        except Exception as error:
            return Response(str(error), status=400)
