"""The operator's console: a read-only page and its figures, on every gateway."""
