"""A call centre to try things on: a database of its own, a load, and a live page."""
