"""Command line: one module for each command, and what they share.

The modules import what is slow to load, such as pandas, inside functions: the help of a
command then appears at once.
"""
