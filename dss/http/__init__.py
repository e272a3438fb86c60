"""Requests to a server: the only modules that talk HTTP."""
