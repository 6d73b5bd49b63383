"""Seeded streams of bytes, bodies and calls, by the million: what must never differ, fail or grow is looked for."""
