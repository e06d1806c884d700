"""What a recorded load would do under other conditions: a discrete-event replay of its stages.

``load`` says what a load is, ``read`` and ``calls`` make one of a recording, ``hidden`` finds the work on a loop or
under the GIL that no stage names. ``engine`` has the clock and the queues, ``replay`` runs a load on them, ``change``
makes another load of it, ``predict`` compares the two and ``document`` says it in words. Nothing here measures
anything.
"""
