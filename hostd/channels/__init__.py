"""The host's end of domains' virtio-serial channels, whoever speaks over them.

`line` opens one, `peer` says who is at its other end.
"""
