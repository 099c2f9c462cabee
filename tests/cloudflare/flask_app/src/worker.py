"""A Flask application whose synchronous views ask an object."""

from flask import Flask, jsonify, request
from pyodide.ffi import run_sync
from workers import DurableObject, wsgi

app = Flask(__name__)


class Todos(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS todos(id INTEGER PRIMARY KEY, title TEXT)")

    async def add(self, title):
        return self.ctx.storage.sql.exec("INSERT INTO todos(title) VALUES(?) RETURNING id", title).one().id

    async def all(self):
        return self.ctx.storage.sql.exec("SELECT id, title FROM todos ORDER BY id").toArray()


def todos():
    return request.environ["workers.env"].TODOS.getByName("mine")


@app.get("/todos")
def all_of_them():
    return jsonify([{"id": row.id, "title": row.title} for row in run_sync(todos().all())])


@app.post("/todos")
def add():
    return {"id": run_sync(todos().add(request.get_json()["title"]))}, 201


Default = wsgi.entrypoint(app)
