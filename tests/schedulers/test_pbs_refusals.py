"""PBS's own words are shown, and what to change stands behind them."""

from __future__ import annotations

import pytest

from slidearray.schedulers.answers import RefusalKind
from slidearray.schedulers.pbs_refusals import advice_for, explain, is_over

#: As qsub, qstat, qdel and qrls of OpenPBS 23.06.06 printed them.
SEEN = [
    ("qsub: Array job exceeds server or queue size limit\n", "limit", "`max_array_size`"),
    ("qsub: Unknown queue\n", "final", "`queue`"),
    ("qsub: Bad GID for job execution\n", "final", "`group`"),
    ("qsub: Bad UID for job execution\n", "final", "login node"),
    ("qsub: Unknown resource Resource_List.ngpus\n", "final", "`gpus`"),
    ("qsub: Unknown resource: gpu_type\n", "final", "`constraint`"),
    ('qsub: "-lresource=" cannot be used with "select" or "place", resource is: mem\n', "final",
     "`pbs_resources"),
    ('qsub: Cannot have "place" without "select"\n', "final", "`pbs_resources"),
    ("qsub: Illegal attribute or resource value Resource_List.walltime\n", "final", "`walltime`"),
    ("qsub: Error (15014) submitting job\n", "final", "`walltime`"),
    ("qsub: illegal -J value\nusage: qsub [-a date_time] [-A account]\n", "final", "`max_running`"),
    ("qsub: Error (15002) submitting job\n", "final", "`directives`"),
    ("qsub: invalid option -- 't'\nusage: qsub [-a date_time]\n", "final", "`directives`"),
    ("qsub: Illegal attribute or resource value project\n", "final", "`project`"),
    ("qsub:  cannot submit non-rerunable Array Job\n", "final", "job template"),
    ("qsub: Job name is too long\n", "final", "job template"),
    ("qsub: script file:: No such file or directory\n", "final", "job template"),
    ("qsub: directive error: -o /home/me/a dir/x \n", "final", "`directives`"),
    ("Connection refused\nqsub: cannot connect to server pbshost (errno=15010)\n", "temporary",
     "does not answer"),
    ("Connection refused\nCouldn't connect to cluster: pbshost\n", "temporary", "does not answer"),
    ("qstat: cannot connect to server pbshost (errno=15010)\n", "temporary", "does not answer"),
    ("qdel: Unauthorized Request  12.pbshost\n", "final", "who submitted"),
    ("qsub: Unauthorized Request \n", "final", "may not use that queue"),
]  # fmt: skip

#: As they stand in the source of OpenPBS (src/lib/Liblog/pbs_messages.c).
WRITTEN = [
    ("qsub: would exceed complex's per-user limit\n", "limit", "shards.max_tasks"),
    ("qsub: would exceed queue small's per-user limit\n", "limit", "shards.max_tasks"),
    (
        "qsub: Maximum number of jobs for user me already in queue small\n",
        "limit",
        "shards.max_tasks",
    ),
    (
        "qsub: would exceed queue small's per-user limit of jobs in 'Q' state\n",
        "limit",
        "shards.max_tasks",
    ),
    ("qsub: would exceed per-user limit on resource ncpus in complex\n", "limit", "max_tasks"),
    ("qsub: Maximum number of jobs already in complex\n", "limit", "shards.max_tasks"),
    ("qsub: Job violates queue and/or server resource limits\n", "final", "`walltime`"),
    ("qsub: Job rejected by all possible destinations\n", "final", "`queue`"),
    ("qsub: Queue is not enabled\n", "final", "`queue`"),
    ("qsub: Access to queue is denied\n", "final", "`queue`"),
    ("qsub: No default queue specified\n", "final", "`queue`"),
    ("qsub: Invalid Account\n", "final", "`account`"),
    ("qsub: Request not allowed: Server shutting down\n", "temporary", "does not answer"),
    ("qsub: cannot connect to server pbs (errno=15008)\n", "final", "login node"),
    ("qsub: Access from host not allowed, or unknown host\n", "final", "login node"),
    ("qsub: Failed to load configuration parameters!\n", "final", "--local"),
    ("qsub: Invalid Job Dependency\n", "final", "resubmit"),
    ("qsub: Attribute has to be set on an array job\n", "final", "`max_running`"),
    ("qsub: multiple max_run_subjobs values found\n", "final", "`max_running`"),
    ('qsub: Resource invalid in "select" specification: walltime\n', "final", "`constraint`"),
    (
        "qsub: duplicated resource within a section of a select specification, resource is: mem\n",
        "final",
        "`constraint`",
    ),
    ("qsub: Cannot be used with select or place: nodes\n", "final", "`pbs_resources"),
    ("qsub: illegal -m value\nusage: qsub [-a x]\n", "final", "`directives`"),
    (
        "qsub: Cannot set attribute, read only or insufficient permission  Resource_List.nodect\n",
        "final",
        "`directives`",
    ),
    ("pbsnodes: cannot connect to server pbs, error=15007\n", "final", "login node"),
]


@pytest.mark.parametrize(("said", "kind", "advice"), SEEN + WRITTEN)
def test_a_refusal_says_what_to_change(said: str, kind: str, advice: str) -> None:
    refusal = explain(said)
    assert refusal.kind is RefusalKind(kind)
    assert advice in refusal.advice


@pytest.mark.parametrize(
    "words",
    [
        "please ask the helpdesk for a blue ticket",
        "walltime must be given; add it and try again",
        "System error",
        "Job rejected (System error codes at https://x)",
        "the filesystem is temporarily unavailable for you: name another queue",
        "your login cannot connect to server classes",
        "connection refused by policy: Connection refused for project x",
        "Your description of resources is wrong: ask for select",
        "user group quota: home is over quota",
        "project 'abc' has used up its allocation; its account is closed",
        "the maximum number of jobs would exceed what is sensible",
        "name the queue; authentication is not the reason, and no script is wrong",
        "jobs without filesystems= depend on nothing",
    ],
)
def test_words_of_a_site_are_shown_as_they_are_and_are_final(words: str) -> None:
    refusal = explain(f"qsub: {words}\n")
    assert str(refusal) == words
    assert refusal.kind is RefusalKind.FINAL
    assert not refusal.of_person


@pytest.mark.parametrize(
    "said",
    [
        "qsub: System error: \n",
        "qsub: Server@pbshost: System error: No space left on device\n",
        "qsub: Resource temporarily unavailable\n",
        "qrls: Batch protocol error 12[].pbshost\n",
        "qdel: Server returned error 15031 for job 12.pbshost\n",
        "qsub: Error (15033) submitting job\n",
        "qstat: Error (15161) getting status of server pbshost\n",
        "qstat: Error 15031\n",
        "pbsnodes: cannot connect to server pbshost, error=15010\n",
        "qsub: Failed to save job/resv, refer server logs for details\n",
    ],
)
def test_a_server_that_does_not_answer_may_be_asked_again(said: str) -> None:
    assert explain(said).kind is RefusalKind.TEMPORARY


def test_words_are_one_line_without_the_usage_and_the_program() -> None:
    refusal = explain("Connection refused\nqsub: illegal -J value\nusage: qsub [-a x]\n\t[-A y]\n")
    assert refusal.words == "Connection refused, illegal -J value"
    assert explain("").words == "it printed nothing"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("would exceed complex's per-user limit", True),
        ("Maximum number of jobs for user me already in complex", True),
        ("would exceed queue small's per-user limit of jobs in 'Q' state", True),
        ("would exceed queue small's per-group limit", False),
        ("would exceed per-user limit on resource ncpus in complex", False),
        ("Maximum number of jobs already in queue small", False),
        ("Array job exceeds server or queue size limit", False),
    ],
)
def test_only_limits_of_a_person_are_held_against_what_the_person_has(
    said: str, *, expected: bool
) -> None:
    assert explain(f"qsub: {said}").of_person is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("qdel: Unknown Job Id 9999.pbshost\n", True),
        ("qdel: Job has finished 4[].pbshost\n", True),
        ("qrls: Job has finished\nqrls: Unknown Job Id 9999.pbshost\n", True),
        ("qdel: Request invalid for finished array subjob 4[1].pbshost\n", True),
        ("qdel: Request invalid for state of job 4.pbshost\n", True),  # it is exiting
        ("qdel: Unauthorized Request  4.pbshost\n", False),
        ("qdel: Unknown Job Id 9.pbshost\nqdel: Unauthorized Request  4.pbshost\n", False),
        ("Couldn't connect to cluster: pbshost\n", False),
        ("", False),
    ],
)
def test_an_error_is_forgiven_when_all_it_says_is_that_jobs_are_over(
    said: str, *, expected: bool
) -> None:
    assert is_over(said) is expected


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Can Never Run: Insufficient amount of resource: ncpus (R: 99 A: 8 T: 8)", "no node has"),
        ("Can Never Run: would exceed user me's limit on resource mem in complex", "over a limit"),
        ("held", "`qrls JOB`"),
        ("Job held by root", "qrls"),
        ("held by PBS (os)", "ask them"),
        ("job held, too many failed attempts to run", "ask them"),
        ("Job Array Held, too many failed attempts to run subjob 7[1].host", "ask them"),
        ("Dependency", "behind jobs"),
        ("Queued", "nothing to do"),
        ("requeued", "by itself"),
        ("Not Running: Insufficient amount of resource: ncpus", "nodes are free"),
        ("Not Running: Not enough free nodes available", "nodes are free"),
        ("Not Running: Queue not started.", "starts no jobs"),
        ("Not Running: User has reached server running job limit.", "when others end"),
        ("Not Running: Number of concurrent running subjobs limit reached", "`max_running`"),
        ("Not Running: Job would cross dedicated time boundary", "shorter `walltime`"),
        ("Not Running: Job would conflict with reservation or top job", "others go first"),
        ("Not Running: PBS Error: Execution server rejected request", "refused it"),
    ],
)
def test_why_a_task_waits_is_explained(reason: str, advice: str) -> None:
    assert advice in (advice_for(reason) or "")


def test_a_reason_of_a_site_has_no_advice() -> None:
    assert advice_for("Not Running: the moon is full") is None
