"""What can be seen of a runner from outside: an overview, metrics, its log."""
