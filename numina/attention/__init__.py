"""What is attached to the attention layers: recorders that look, a guide that enforces."""
