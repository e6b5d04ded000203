"""What is known of people: which columns hold it, the keys that seal it, and how."""
