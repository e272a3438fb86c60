"""Services to read, to try and to begin from; each is a folder with its file and description."""
