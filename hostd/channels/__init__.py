"""The host's end of domains' virtio-serial channels, whoever speaks over them.

`line` opens one, `peer` says who is at its other end; `attendance` is who is attended to, and `mentions` what the log
says of each.
"""
