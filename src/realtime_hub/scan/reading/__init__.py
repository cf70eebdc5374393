"""Readers: from a file's tree to a Module, one for each family of languages."""
