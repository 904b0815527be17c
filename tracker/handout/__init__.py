"""Who gets whom: pure policies that choose peers for one asker."""
