"""AMQP 1.0 for a server, without I/O: bytes in, events out, bytes out.

Owns: the type system (`encode`, `decode`), frames, performatives, and the states of connection, session and link.
Refuses to know: sockets, threads, clocks (time comes in through `tick`), and what a message is for.

Source: OASIS AMQP 1.0, parts 1 (types), 2 (transport), 3 (messaging) and 5 (security).
"""
