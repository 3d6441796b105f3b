"""Event Grid's part of the control route: topics, subscriptions and dead letters. On Azure this is Resource Manager."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localazure.eventgrid.service import EventGrid


def routes(grid: EventGrid) -> list[Route]:
    async def list_topics(_: Request) -> Response:
        return JSONResponse(grid.topics())

    async def create_topic(request: Request) -> Response:
        await grid.create_topic(str((await request.json())["name"]))
        return JSONResponse({}, 201)

    async def delete_topic(request: Request) -> Response:
        await grid.delete_topic(request.path_params["topic"])
        return JSONResponse({})

    async def list_subscriptions(request: Request) -> Response:
        return JSONResponse([one.as_json() for one in grid.subscriptions(request.path_params["topic"])])

    async def subscribe(request: Request) -> Response:
        wanted = await request.json()
        name, endpoint, policy = wanted["name"], wanted["endpoint"], wanted["policy"]
        if type(name) is not str or type(endpoint) is not str or type(policy) is not dict:
            raise ValueError("a subscription has a name (text), an endpoint (text) and a policy (object)")
        await grid.subscribe(request.path_params["topic"], name, endpoint, policy)
        return JSONResponse({}, 201)

    async def unsubscribe(request: Request) -> Response:
        await grid.unsubscribe(request.path_params["topic"], request.path_params["name"])
        return JSONResponse({})

    async def dead_letters(request: Request) -> Response:
        return JSONResponse(grid.dead_letters(request.path_params["topic"], request.path_params["name"]))

    one = "/topics/{topic}/subscriptions"
    return [
        Route("/topics", list_topics),
        Route("/topics", create_topic, methods=["POST"]),
        Route("/topics/{topic}", delete_topic, methods=["DELETE"]),
        Route(one, list_subscriptions),
        Route(one, subscribe, methods=["POST"]),
        Route(one + "/{name}", unsubscribe, methods=["DELETE"]),
        Route(one + "/{name}/dead-letters", dead_letters),
    ]
