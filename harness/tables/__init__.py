"""The two tables of VSS, filled in from runs: what is measured in each cell, and how it is printed.

rows (the cells as data) -> fill (surveys, counted) -> measured (the file) -> text (Markdown).
"""
