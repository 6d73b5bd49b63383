"""Several processes on one port: a supervisor that accepts and watches, and workers that answer.

    supervisor ── accepts, deals connections out ──► worker 1, worker 2, …
        ▲  └────── orders: start, refresh, load, unload, look ──────► │
        └───────── what came of them; what one wants of all ◄─────────┘

The supervisor holds no model and never imports ONNX Runtime. A worker is the server as it is alone, but for
where its connections come from and for what it asks of the others before it answers.
"""
