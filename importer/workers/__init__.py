"""Worker processes: do jobs that compute, such as reading a layer, beside this process.

In: a job or a task, a frozen dataclass that is pickled. Out: its result, or its error.
Open `job.py` first: what a worker can do. `pool.py` lends the processes, `worker.py` is
their main loop, `tasks.py` does tasks and jobs in them.
"""
