"""From a prompt to count targets and the tokens that name them."""
