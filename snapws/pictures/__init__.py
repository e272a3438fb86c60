"""Pictures of a workspace: the layers over each other as ITK-SNAP shows them, and as tiles."""
