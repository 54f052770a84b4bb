"""Figures of hostd, each measured beside what it is compared with, in one run: ``python -m bench``.

Machines differ and are noisy, so a time alone says little: where there is something to compare with, the two
are measured by turns in the same minute, and the ratio of their medians is what counts. A run measures; it
does not judge. docs/benchmarks.md says what each figure means.

To add one: a function from ``Stage`` to ``Outcome`` in a file named after its subject, and its row in
``figures.FIGURES``.
"""
