"""Event Grid: a custom topic that takes CloudEvents over HTTP, and pushes them to webhooks until they are taken.

Knows nothing of sockets: the publishing side is an ASGI application (`app`), the pushing side an HTTP client
(`delivery`). `schedule` says when to try again, `store` keeps what was accepted, `service` is what the server holds.
"""
