"""How good masks are, against the truth: one module a benchmark."""
