"""Sending what a walk finds: what a worker does with the files of a task (docs/walking.md).

Nothing here is imported by a walk that sends nothing.
"""
