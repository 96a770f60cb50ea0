"""The verbs of the command line and of the Python interface: one file each, found by its name.

A verb's module has `Settings` (a frozen dataclass: the command's arguments), `prepare(settings)` (checks all input and
loads games and policies), `plan(settings, prepared)` (what a dry run shows), `execute(settings, prepared, run)` (does
it, and returns the JSON result) and `text(result)` (what a person is told). What several verbs need is in `common`,
`exact` (games that can be enumerated) and `learned` (training); `solve` has the exact answers as functions.
"""
