"""The query side as an Azure Functions app (v2 programming model): the very app that uvicorn serves.

Settings: `COSMOS_READONLY_CONNECTION` (the read-only key: this app cannot write), `COSMOS_DATABASE`, `READ_STORE_URL`
(where the tables are; the app's identity needs *Storage Blob Data Reader* there), `EVENTHUB_NAME` and
`EVENTHUB_PARTITIONS` (how many the hub has): whose positions the answers report. No right on Event Hubs is needed.
One function takes every route and method; the app answers them. Callers need the function's key, which the gateway
holds (`deploy/apim/policy.xml`).
Source: learn.microsoft.com/azure/azure-functions/functions-reference-python, "Web frameworks".
"""

from __future__ import annotations

import os

import azure.functions as func

from labkit import connections
from labkit.documents import client_of
from labkit.errors import SettingsError
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse

PARTITIONS = "EVENTHUB_PARTITIONS"


def setting(name: str) -> str:
    """From the environment. Raises: `SettingsError` for one that is missing."""
    value = os.environ.get(name, "")
    if not value:
        raise SettingsError(f"set {name} too")
    return value


def query_container() -> QueryContainer:
    """Raises: `SettingsError` for a setting that is missing or no connection string; it never tells the value."""
    name = connections.COSMOS_READ_ONLY
    connection = os.environ.get(name, "")
    connections.must_be_a_connection_string(name, connection, connections.PARTS[name])
    client = client_of(connection)
    database = os.environ.get(connections.DATABASE) or connections.DATABASE_NAME
    return QueryContainer(client.get_database_client(database).get_container_client("query-model"))


def hub() -> Hub:
    """Raises: `SettingsError` for a number of partitions that is none."""
    partitions = setting(PARTITIONS)
    if not partitions.isascii() or not partitions.isdigit():
        raise SettingsError(f"{PARTITIONS} is how many partitions the hub has")
    return Hub(setting(connections.HUB), [str(number) for number in range(int(partitions))])


read_from, container = hub(), query_container()
synapse = Synapse(setting(connections.READ_STORE), hub=read_from)
app = func.AsgiFunctionApp(
    app=query_app(synapse, container, read_from.name),
    http_auth_level=func.AuthLevel.FUNCTION,
    function_name="queries",
)
