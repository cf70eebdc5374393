"""The audit: facts of a database, its listeners and its source code; rules; findings."""
