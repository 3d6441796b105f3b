"""The command side as an Azure Functions app (v2 programming model): the very app that uvicorn serves.

Settings: `COSMOS_CONNECTION` (read-write; the command side has no right on Event Hubs), `COSMOS_DATABASE`.
One function takes every route and method; the app answers them. Callers need the function's key, which the gateway
holds (`deploy/apim/policy.xml`).
Source: learn.microsoft.com/azure/azure-functions/functions-reference-python, "Web frameworks".
"""

from __future__ import annotations

import os

import azure.functions as func
from azure.cosmos import ContainerProxy

from labkit import connections
from labkit.clock import WallClock
from labkit.documents import client_of
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler


def write_model() -> ContainerProxy:
    """Raises: `SettingsError` for a setting that is missing or no connection string; it never tells the value."""
    connection = os.environ.get(connections.COSMOS, "")
    connections.must_be_a_connection_string(connections.COSMOS, connection, connections.PARTS[connections.COSMOS])
    client = client_of(connection)
    database = os.environ.get(connections.DATABASE) or connections.DATABASE_NAME
    return client.get_database_client(database).get_container_client("write-model")


app = func.AsgiFunctionApp(
    app=command_app(CommandHandler(write_model(), WallClock())),
    http_auth_level=func.AuthLevel.FUNCTION,
    function_name="commands",
)
