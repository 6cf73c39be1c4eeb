"""The demo under faults: each seed buys twice, backs up three times and restores twice while things go wrong.

What goes wrong is data (`plan`), put into force in the simulators (`injection`); what must hold all the same is
checked against what the simulators saw (`purchases`) and recorded (`seeds`).
"""
