"""Several processes on one port: a supervisor that accepts connections and starts workers, and workers that answer.

    supervisor ── accepts, deals connections out ──► worker 1, worker 2, …
        ▲  └────── orders: start, refresh, load, unload, report ────► │
        └───────── results; requests to all workers ◄─────────────────┘

The supervisor holds no model and never imports ONNX Runtime. A worker is the server as it is alone, but for
where its connections come from and for the requests to all workers that it makes before it answers.

Of the supervisor are `supervisor` (processes), `listener` and `slot` (connections), `coordinator` and `roster`
(messages and counts); of a worker `__main__`, `worker_group` (its view of all), `link` and `orders`.
"""
