"""Is everything as the service needs it? Reading is the ledger's and the counters'; what it means is judged here."""
