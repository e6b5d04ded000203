"""What a decision is. Pure: standard library only, no clock, no input or output, no await.

`evaluate` says what can be said from configuration alone and which counters the rest depends on; `settle` finishes the
decision once those counters are known. Everything else here serves these two.
"""
