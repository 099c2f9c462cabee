"""What every object of this project is: a table made once, and a mixin that writes down what was done."""

from workers import DurableObject


class Stored(DurableObject):
    schema = ""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = self.ctx.storage.sql
        if self.schema:
            self.sql.exec(self.schema)

    def value(self, query, *bindings):
        rows = self.sql.exec(query, *bindings).toArray()
        return rows[0].value if rows else None


class Audited:
    """Mixed in before a class that is stored."""

    def __init__(self, *args):
        super().__init__(*args)
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS audit(id INTEGER PRIMARY KEY, what TEXT)")

    def note(self, what):
        self.ctx.storage.sql.exec("INSERT INTO audit(what) VALUES(?)", what)

    async def audit(self):
        return [row.what for row in self.ctx.storage.sql.exec("SELECT what FROM audit ORDER BY id")]
