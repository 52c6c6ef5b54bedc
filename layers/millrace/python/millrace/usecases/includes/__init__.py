"""Related things beside what is asked for: a few batched reads, however many there are."""
