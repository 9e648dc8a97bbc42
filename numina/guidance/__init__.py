"""From an edited layout to a bias on the attention scores."""
