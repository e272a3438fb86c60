"""Batches: send many workspaces to a service, with a journal and as many tickets as allowed."""
