"""The state is lost, and comes back: from git, and from what lies on the sources about every attempt.

Ids are hashes of what they name, so that the same rows come back: tasks with their phase, numbers and budget; attempts
with their digest, claim, times, end and exit code; what runs is watched again. Nothing that has run runs again.

    past.py        what is left of attempts: whose they are, of which task, under which number
    survivors.py   reading it from the sources, which are fenced first
    memory.py      the manifest that each sweep was last served with, from the history of the repository
    recall.py      all that into a new store, by the rules of every day
    rebuild.py     the whole: look, refuse, write beside, put in place; values.py: what it tells

What only the lost state had known does not come back, and this is what follows from that:

    events                   the story begins anew; what attempts were and when is told by the attempts
    generations              their numbers begin at 1, as does `endings` (and `usage`), which counts what was found
    waiting removals         approvals and their plans: whatever would end something that runs is frozen until
                             `reconciler approve`, since it may have been waiting for just that
    cancellations            one that was under way is forgotten: the task runs on, and is cancelled again for as long
                             as the manifest says so (`state: Cancelled`), or once its removal is approved
    who cancelled            an end that was asked for counts as ours: it charges no budget
    `reconciler retry`       a fresh budget is seen by the attempts that followed; one that nothing followed is not
    `--assume-dead`          is believed only of attempts that others followed
    intents                  of which nothing had come to the source: the task waits, under the same number
    when it was intended     and accepted: the time of the claim stands for both
    onRemove: Keep           points that have left the manifest and never started
    pins                     of sweeps that never started anything: they are pinned as if accepted now
    schedules                of sweeps that never started anything: the gate waits for the next tick
    what a source lost       a power loss may take claims and records that were not written through: what they told is
                             not known any more, and may run again

Sources that are not in the configuration are not asked: what ran only there is not known, and runs again.
"""

from reconciler.rebuild.lost import refuse_lost
from reconciler.rebuild.rebuild import rebuild, rehearse
from reconciler.rebuild.survivors import Reach
from reconciler.rebuild.values import Rebuilt, SourceTold, SweepTold

__all__ = ["Reach", "Rebuilt", "SourceTold", "SweepTold", "rebuild", "refuse_lost", "rehearse"]
