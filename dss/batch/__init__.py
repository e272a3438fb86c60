"""Many workspaces through a service: a journal, and tickets as many as the server allows."""
