"""The Worlds as Prometheus reads them: text 0.0.4 and OpenMetrics 1.0, rendered ahead of the scrape.

`text` has the letters, `render` one owner's samples, `known` what is kept of each World, `compression` one gzip member
of two parts, and `page` joins it all. Why not prometheus_client's renderer: it takes 5 to 16 µs a sample, holds the GIL
all the while, and one bad value fails the whole page. It still renders hostd's own few metrics.
"""

from hostd.exposition.page import OPENMETRICS, TEXT, Exposition

__all__ = ["OPENMETRICS", "TEXT", "Exposition"]
