"""Files of a ticket, up to the server and down from it."""
