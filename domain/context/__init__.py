"""What a step's text becomes on a node: the data context, references, quoting, environment and masking.

``scopes`` holds the data, ``references`` replaces what names it, ``arguments`` splits and joins, ``quoting``
quotes for the target, ``commands`` puts these together for each kind of step, ``groups`` builds the usual groups and
the environment; ``masking`` (with ``secret_forms`` and ``grams``) keeps secrets out of logs.
"""
