"""Import layers into the repo: fetch, unpack in worker processes, write objects, close.

In: the missing layers of a plan, each with its origin. Out: the layers' branches.
Open `schedule.py` first: which layer is next; `scheduled_layer.py` has the states of a layer,
`layer_pool.py` the threads, `local_executor.py` their work, `job.py` the work of a worker process.
"""
