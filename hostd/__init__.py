"""The host daemon: libvirt's domains and their guests, to Prometheus.

Services only *learn* (watcher, sampler, guests) or *tell* (http, guests); they meet in the `store`, where one immutable
`World` is replaced by the next. docs/architecture.md has the picture.
"""

from importlib.metadata import version

__version__ = version("virtwire")
