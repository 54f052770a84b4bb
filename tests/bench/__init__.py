"""The benchmarks' own arithmetic; what they measure is no test's business."""
