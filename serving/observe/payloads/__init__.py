"""The payload log, off unless asked for: a sample of requests and answers as CloudEvents, to a file or a collector.

    fast path ── a kept exchange ──► bounded queue ──► writer thread: redact, make events ──► file or URL

The event loop only keeps references and counts; exchanges that do not fit the queue are dropped and counted.
"""
