"""Running the user's pipeline: in one pass, or with a restart."""
