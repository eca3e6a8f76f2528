"""The AI CPU: named kernels of a library, run for the tasks of an offline model that name them.

The chip's AI CPU is an ordinary processor beside the AI Cores with a library of operators. An `.om` file holds
no code for it: a task names the kernel and carries an operator definition (types, shapes, attributes), the
arguments are device addresses. `definition.py` is that record, `library.py` the table of kernels, `executor.py`
runs a task on device memory, `cost.py` says how long it takes.
"""
