"""Our far end on a source. Standard library only, Python 3.6 and later; nothing of ours is imported here.

    main       the loop: one thread, JSON lines on stdin and stdout, the bell, ended children, timers
    channel    those lines, without ever blocking
    pipes      descriptors that wake the loop
    desk       what is asked of attempts, what becomes of them, what is told
    news       what is to be told about them
    place      the root: who owns it, which epoch rules, where things lie
    pool       the queue for slots and GPUs
    shim       the process that starts one attempt: stage, lock, claim, run, record
    launch     what a task sees: its environment, its command line, its descriptors
    supervise  waiting for a task, ending it, clearing up after it
    look       everything that lies here about an attempt
    reach      signals, to nothing but what is proven to be ours
    watch      attempts whose shim is not our child, or dead
    folders    what may be asked of folders that are not ours
    checkout   somebody's git checkout: where it is at, and each difference
    tree       a folder without git: the hash of all its files
    sync       writing into such a folder: over nothing that the writer has not seen
    seal       how verified files looked, so that a start can tell whether they changed
    scheduled  what a scheduler is asked and told: submissions, listings, taking back
    batch      what lies here of attempts that were submitted together
    command    a program that is run to its end, within its time
    execute    what a scheduler's job runs on its node: the shim of one attempt
    takeover   what lies in a root when a session begins, looked at a little at a time
    memory     whether the system has killed processes of such a job for want of memory
    restrict   how many of them may run at once, told anew
    job        what starts that, from compiled code if it can
    program    all of this, laid down for such jobs
    untyped    what they have instead of types
    side       slow work in processes of its own: worktrees, trash
    errands    which of it is under way, and who waits for its answer
    system     which machine, which boot, which process
    shapes     what a request must contain, what a claim holds
    crash      named points at which a test ends one of these processes

The shim is forked from the agent: an interpreter's start would cost more than all else together.
"""
