"""What a person tells a session: checks of prompts, and taking them."""
