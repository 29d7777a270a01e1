"""A document that the schema has accepted → the typed spec. Nothing can fail here that was checked before."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.command import parse_duration_s, parse_memory_mib
from reconciler.core.model import FailureClass, Json, SourceName, SweepName
from reconciler.core.spec import (
    ArgumentStyle,
    Backoff,
    Checkpoint,
    Choice,
    Constant,
    DeletionPolicy,
    Goal,
    IntUniform,
    Linspace,
    Logspace,
    LogUniform,
    MaxFailures,
    Normal,
    Objective,
    OnRemove,
    Parameter,
    Placement,
    Range,
    ResourcesTemplate,
    Results,
    RetryAction,
    RetryPolicy,
    RetryRule,
    Strategy,
    SweepSpec,
    SweepState,
    Uniform,
    UpdatePolicy,
    Values,
    When,
)
from reconciler.fields import Fields, sequence

_RESOURCE_NAMES = {  # in the manifest, and in `Resources`
    "cpus": "cpus",
    "memory": "memory_mib",
    "gpus": "gpus",
    "walltime": "walltime_s",
    "nodes": "nodes",
    "tasksPerNode": "tasks_per_node",
}


def spec_of(document: Json) -> SweepSpec:
    """The spec of a checked document whose points table, if any, is inlined."""
    root = Fields.of(document)
    metadata, spec = root.part("metadata"), root.part("spec")
    return SweepSpec(
        name=SweepName(metadata.text("name", "")),
        labels=metadata.text_mapping("labels"),
        command=spec.texts("command"),
        state=SweepState(spec.text("state", SweepState.ACTIVE)),
        project=spec.text("project", "self"),
        revision=spec.text_or_none("revision"),
        arguments=ArgumentStyle(spec.text("arguments", ArgumentStyle.NONE)),
        environment=spec.text_mapping("environment"),
        setup=spec.texts("setup"),
        parameters=_parameters(spec.mapping("parameters")),
        points=_points(spec.value["points"]) if "points" in spec else None,
        when=tuple(_when(Fields.of(entry)) for entry in spec.sequence("when")),
        zip=tuple(tuple(map(str, sequence(group))) for group in spec.sequence("zip")),
        exclude=tuple(Fields.of(entry).value for entry in spec.sequence("exclude")),
        include=tuple(Fields.of(entry).value for entry in spec.sequence("include")),
        derived=spec.text_mapping("derived"),
        samples=spec.integer("samples", 1),
        seed=spec.integer("seed", 0),
        replicates=spec.integer("replicates", 1),
        resources=_resources(spec.part("resources")),
        placement=_placement(spec.part("placement")),
        parallelism=spec.integer_or_none("parallelism"),
        priority=spec.integer("priority", 0),
        max_failures=_max_failures(spec.value.get("maxFailures")),
        retry=_retry(spec.part("retry")),
        checkpoint=_checkpoint(spec.part("checkpoint")),
        update_policy=UpdatePolicy(spec.text("updatePolicy", UpdatePolicy.KEEP)),
        on_remove=OnRemove(spec.text("onRemove", OnRemove.CANCEL)),
        deletion_policy=DeletionPolicy(spec.text("deletionPolicy", DeletionPolicy.DRAIN)),
        results=_results(spec.part("results")),
        scheduler_options={name: Fields.of(each).value for name, each in spec.mapping("schedulerOptions").items()},
        depends_on=tuple(map(SweepName, spec.texts("dependsOn"))),
        schedule=spec.text_or_none("schedule"),
    )


def _parameters(written: Mapping[str, Json]) -> dict[str, Parameter]:
    return {name: _parameter(value) for name, value in written.items()}


def _parameter(value: Json) -> Parameter:
    if isinstance(value, list | tuple):
        return Values(tuple(value))
    if not isinstance(value, Mapping):
        return Constant(value)
    fields = Fields(value)
    if "distribution" in fields:
        return _distribution(fields)
    (form,) = value
    inside = fields.part(form) if form not in ("value", "values") else fields
    start, stop, num = inside.number("start", 0), inside.number("stop", 0), inside.integer("num", 1)
    match form:
        case "value":
            return Constant(value["value"])
        case "range":
            return Range(start=start, stop=stop, step=inside.number("step", 1))
        case "linspace":
            return Linspace(start=start, stop=stop, num=num)
        case "logspace":
            return Logspace(start=start, stop=stop, num=num)
        case _:
            return Values(tuple(fields.sequence("values")))


def _distribution(fields: Fields) -> Parameter:
    low, high = fields.number("min", 0), fields.number("max", 0)
    step = fields.number("step", 0) if "step" in fields else None
    match fields.text("distribution", ""):
        case "uniform":
            return Uniform(min=low, max=high, step=step)
        case "loguniform":
            return LogUniform(min=low, max=high, step=step)
        case "int_uniform":
            return IntUniform(min=int(low), max=int(high), step=fields.integer("step", 1))
        case "normal":
            return Normal(mean=fields.number("mean", 0), stddev=fields.number("stddev", 1), step=step)
        case _:
            shares = [each for each in fields.sequence("probabilities") if isinstance(each, int | float)]
            return Choice(
                values=tuple(fields.sequence("values")),
                probabilities=tuple(map(float, shares)) if "probabilities" in fields else None,
            )


def _points(written: Json) -> tuple[Mapping[str, Json], ...]:
    if not isinstance(written, Mapping):
        return tuple(Fields.of(point).value for point in sequence(written))
    table = Fields(written)
    columns = table.texts("columns")
    return tuple(dict(zip(columns, sequence(row), strict=True)) for row in table.sequence("rows"))


def _when(entry: Fields) -> When:
    return When(
        matches={name: _alternatives(value) for name, value in entry.mapping("if").items()},
        parameters=_parameters(entry.mapping("parameters")),
    )


def _alternatives(value: Json) -> tuple[Json, ...]:
    """A list is any of its items, and also itself: a parameter may have a list for a value."""
    return (*value, value) if isinstance(value, list | tuple) else (value,)


def _amount(written: Json) -> int | str | None:
    """A number or a text; a whole number may have been written as 2.0."""
    if isinstance(written, float):
        return int(written)
    assert written is None or isinstance(written, int | str), "the schema promises a number or text"
    return written


def _resources(fields: Fields) -> ResourcesTemplate:
    return ResourcesTemplate(
        cpus=_amount(fields.value.get("cpus")),
        memory=_amount(fields.value.get("memory")),
        gpus=_amount(fields.value.get("gpus")),
        gpu_type=fields.text_or_none("gpuType"),
        walltime=_amount(fields.value.get("walltime")),
        nodes=_amount(fields.value.get("nodes")),
        tasks_per_node=_amount(fields.value.get("tasksPerNode")),
    )


def _placement(fields: Fields) -> Placement:
    strategy = Strategy(fields.text("strategy", Strategy.LEAST_LOADED))
    wanted = fields.value.get("sources")
    if wanted is None:
        return Placement(strategy=strategy)
    if isinstance(wanted, Mapping):
        return Placement(match_labels=Fields(wanted).text_mapping("matchLabels"), strategy=strategy)
    return Placement(sources=tuple(map(SourceName, fields.texts("sources"))), strategy=strategy)


def _max_failures(written: Json) -> MaxFailures | None:
    if written is None:
        return None
    if isinstance(written, str):
        return MaxFailures(percent=float(written.removesuffix("%")))
    assert isinstance(written, int | float), "the schema promises a count"
    return MaxFailures(count=int(written))


def _retry(fields: Fields) -> RetryPolicy:
    backoff, default = fields.part("backoff"), Backoff()
    return RetryPolicy(
        limit=fields.integer("limit", 0),
        backoff=Backoff(
            duration_s=_seconds(backoff, "duration", default.duration_s),
            factor=float(backoff.number("factor", default.factor)),
            max_s=_seconds(backoff, "maxDuration", default.max_s),
        ),
        rules=tuple(_rule(Fields.of(rule)) for rule in fields.sequence("rules")),
    )


def _checkpoint(fields: Fields) -> Checkpoint:
    default = Checkpoint()
    return Checkpoint(
        signal=fields.text("signal", default.signal),
        before_s=parse_duration_s(fields.text("before", "")) if "before" in fields else None,
        grace_s=_seconds(fields, "grace", default.grace_s),
    )


def _seconds(fields: Fields, name: str, default: float) -> float:
    return float(parse_duration_s(fields.text(name, ""))) if name in fields else default


def _rule(fields: Fields) -> RetryRule:
    classes = fields.texts("class") if not isinstance(fields.value["class"], str) else (fields.text("class", ""),)
    scale = fields.part("scale")
    return RetryRule(
        classes=tuple(map(FailureClass, classes)),
        action=RetryAction(fields.text("action", RetryAction.FAIL)),
        count=fields.flag("count", default=True),
        scale={_RESOURCE_NAMES[name]: float(scale.number(name, 1)) for name in scale.value},
        limit={_RESOURCE_NAMES[name]: _limit(name, value) for name, value in fields.mapping("max").items()},
    )


def _limit(name: str, value: Json) -> int:
    if isinstance(value, str):
        return parse_memory_mib(value) if name == "memory" else parse_duration_s(value)
    assert isinstance(value, int | float), "the schema promises a number"
    return int(value)


def _results(fields: Fields) -> Results:
    metrics = fields.part("metrics")
    objective = metrics.part("objective")
    return Results(
        collect=fields.texts("collect"),
        metrics_file=metrics.text("file", "metrics.json"),
        objective=Objective(name=objective.text("name", ""), goal=Goal(objective.text("goal", Goal.MINIMIZE)))
        if "objective" in metrics
        else None,
    )
