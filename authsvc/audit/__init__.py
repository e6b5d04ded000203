"""Who changed what: entries, and the chain that shows whether any was tampered with."""
