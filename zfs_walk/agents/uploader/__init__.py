"""The uploader agent: mirrors folders, with a broker or without one.

`core` holds the session, `telling` and `narrator` say how the mirrors are, `once` when they are
done; `loop` is the shell with the mirrors.
"""
