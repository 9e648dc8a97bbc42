"""From attention and the predicted clean latent to a layout one can count."""
