"""The host's end of every line.

`roster` says which guests are attended to, `session` how one is, `telling` what one is told. A guest is hostile until
proven otherwise, and its stream starts, stops and repeats itself at will: whatever goes wrong in a session costs that
session only.
"""
