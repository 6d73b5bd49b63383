"""The payload log, off unless asked for: a sample of requests and answers as CloudEvents, to a file or a collector.

    fast path ── a kept exchange ──► bounded queue ──► writer thread: redact, make events ──► file or URL

The event loop only keeps references and counts; what does not fit the queue is dropped and counted.
"""
