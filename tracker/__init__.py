"""The tracker: who has what, who gets whom, and what is published."""
