"""The sampler: what is asked, when, and what a failure costs."""
