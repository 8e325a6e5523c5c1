"""Layers into the repo: fetched, unpacked by processes of their own, written as objects, closed.

In: the missing layers of a plan, each with where it can be had. Out: the layers' branches.
Open `schedule.py` first: which layer is next, and the states it goes through. `layer_pool.py` has
the threads, `executor.py` what they do, `job.py` what runs in a worker process.
"""
