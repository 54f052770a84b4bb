"""The durable record of what happened: events of guests, taken once each, kept for a while, and listed.

`recorder` is the one writer and the only part that a service knows; `reading` lists what is in the file, from any
process; `database` opens it, and says what is wrong with it; `schema` is its layout, by version.
"""
