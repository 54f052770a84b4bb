"""The wire that host daemon and guest agent both speak: sans-I/O, and ignorant of either end.

Bytes go in, messages come out; nothing here opens, waits, sleeps or reads a clock. `connection.Connection` is the
whole of it for a caller; the other modules are its parts. Runs on Python 3.9 with msgpack alone, because guests do.
"""
