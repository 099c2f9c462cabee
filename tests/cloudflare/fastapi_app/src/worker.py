"""FastAPI twice: an app with a WebSocket route in the Worker, and another one inside an object."""

from fastapi import FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from workers import DurableObject, WorkerEntrypoint

app = FastAPI()


class Note(BaseModel):
    text: str
    stars: int = 0


@app.get("/")
async def root():
    return {"message": "Hello"}


@app.get("/setting")
async def setting(request: Request):
    return {"message": request.scope["env"].MESSAGE}


@app.post("/notes/{board}", status_code=201)
async def write(board: str, note: Note, request: Request):
    stub = request.scope["env"].BOARD.getByName(board)
    return {"count": await stub.write(note.text, note.stars)}


@app.get("/notes/{board}")
async def read(board: str, request: Request, least: int = 0):
    notes = await request.scope["env"].BOARD.getByName(board).notes(least)
    if not notes:
        raise HTTPException(404, detail=f"nothing on {board}")
    return notes


@app.get("/count")
async def count():
    async def numbers():
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(numbers(), media_type="text/plain")


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            if text == "bye":
                await websocket.close(4000, "as you wish")
                return
            await websocket.send_text(f"{websocket.query_params['name']}: {text}")
    except WebSocketDisconnect:
        pass


inside = FastAPI()


@inside.get("/boards/{board}/size")
async def size(board: str, request: Request):
    return {"board": board, "size": request.app.state.board.size()}


@inside.websocket("/boards/{board}/live")
async def live(websocket: WebSocket, board: str):
    await websocket.accept()
    await websocket.send_json({"size": websocket.app.state.board.size()})
    await websocket.close()


class Board(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, text TEXT, stars INTEGER)")

    def write(self, text, stars):
        self.sql.exec("INSERT INTO notes(text, stars) VALUES(?, ?)", text, stars)
        return self.size()

    def notes(self, least):
        rows = self.sql.exec("SELECT text, stars FROM notes WHERE stars >= ? ORDER BY id", least)
        return [{"text": row.text, "stars": row.stars} for row in rows]

    def size(self):
        return self.sql.exec("SELECT count(*) AS n FROM notes").one().n

    async def fetch(self, request):
        import asgi

        inside.state.board = self
        if (request.headers.get("upgrade") or "").lower() == "websocket":
            return await asgi.websocket(inside, request)
        return await asgi.fetch(inside, request, self.env)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        import asgi
        from js import URL

        path = URL.new(request.url).pathname
        if path.startswith("/boards/"):
            return await self.env.BOARD.getByName(path.split("/")[2]).fetch(request)
        if (request.headers.get("upgrade") or "").lower() == "websocket":
            return await asgi.websocket(app, request.js_object, self.env)
        return await asgi.fetch(app, request.js_object, self.env, self.ctx)
