"""The guests' side of hostd."""
