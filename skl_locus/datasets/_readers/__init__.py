"""Readers of evaluation logs, one format per module.

A reader finds the records of its format with `_files`, checks their cells with
`_values`, and adds each evaluation to a `LogBuilder`, which counts what is left out and
returns the long table. A new format is one more module here, its name in
``datasets/__init__.py``, and its signs in `_detect`.
"""
