"""The life of transactions after the decision: the network's later messages, and what they add up to."""
