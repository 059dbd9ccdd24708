"""The shadow: a candidate that scores live rows beside the model in service, and that no request waits for.

Each worker has one: a process of its own, of the lowest priority, that reads what the worker has logged, so that a
candidate that is slow, raises, hangs or crashes affects no request. `supervisor.py` runs in the worker, the rest in the
process.
"""
