from hello import hello
from js import Headers, Response, WebSocketPair
from workers import DurableObject
from workers import Response as PythonResponse


class Room(DurableObject):
    def __init__(self, state, env):
        self.state = state

    async def on_fetch(self, request):
        client, server = WebSocketPair.new().object_values()
        self.state.acceptWebSocket(server)
        return PythonResponse(None, status=101, web_socket=client)

    async def on_webSocketMessage(self, ws, message):
        sockets = self.state.getWebSockets()
        for other in sockets:
            other.send(f"{message} to {len(sockets)}")


async def on_fetch(request, env):
    if request.url.endswith("/room"):
        return await env.ROOM.get(env.ROOM.idFromName("a")).fetch(request)
    headers = Headers.new({"x-path": request.url.split("/")[-1]}.items())
    return Response.new(hello(env.WHO), headers=headers)
