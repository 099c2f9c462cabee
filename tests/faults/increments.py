"""The class of the programs that count acknowledged increments: each has a number, and none may be missing."""

INCREMENTS = """
class Ledger(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS increments(n INTEGER PRIMARY KEY, token TEXT NOT NULL)")

    def increment(self, token):
        return self.ctx.storage.sql.exec("INSERT INTO increments(token) VALUES (?) RETURNING n", token).one()["n"]

    def tokens(self):
        return [row["token"] for row in self.ctx.storage.sql.exec("SELECT token FROM increments ORDER BY n")]
"""
