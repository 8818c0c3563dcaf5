"""How blocks are chosen, and what that needs."""
