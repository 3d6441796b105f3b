"""Event Hubs, embedded: partition logs behind AMQP links.

Owns: hubs and their logs, addresses, start positions, tokens and rights, `$management`, faults.
Refuses to know: sockets and event loops; `service` takes bytes and hands out bytes.
"""
