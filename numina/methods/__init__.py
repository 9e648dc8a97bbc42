"""Counting methods: the published one and the robust default."""
