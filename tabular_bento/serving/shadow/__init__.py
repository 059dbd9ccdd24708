"""The shadow: a candidate that scores live rows beside the model in service, and that no request waits for.

Each worker has one: a process of its own, of the lowest priority, that reads what the worker has logged, so that a
candidate may be slow, raise, hang or crash as it likes. `supervisor.py` is the worker's side, the rest the process's.
"""
