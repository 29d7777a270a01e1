"""The reconcile of one key, and the passes that it is made of.

keys.py        what the work queue holds
controller.py  one key: which pass, and who should look next
survey.py      all manifests of one tree, before anything acts
acceptance.py  the repository pass: new generations come into force; brake.py: mass removals wait
queues.py      the arguments of `dispatch`; placement.py: the dispatch pass
actions.py     what people ask for; reporting.py: how it is told; planning.py: what would happen
"""
