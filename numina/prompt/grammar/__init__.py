"""How numbers are said of nouns in English prompts: rules and word lists, no model."""
