"""What can be seen of a gateway, as tables for docs/observability.md: the log's events, metrics, spans' attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.log_events import EVENTS
from gateway.observe.meters import METRICS, PROCESS, WORKERS, WORKERS_MEANING, Described
from gateway.observe.spans import ATTRIBUTES


def metrics() -> list[Described]:
    """Every metric of a gateway, by name. Each has the label `worker` too, but `workers` itself."""
    workers = Described(WORKERS, "gauge", ("state",), WORKERS_MEANING)
    return sorted([*METRICS, *_of_the_process(), workers], key=lambda one: one.name)


def _of_the_process() -> Iterator[Described]:
    for each in PROCESS.collect():
        name = f"{each.name}_total" if each.type == "counter" else each.name
        yield Described(name, each.type, (), each.documentation.rstrip("."))


def metrics_told() -> str:
    """The table of metrics."""
    return _table(
        ("metric", "kind", "labels", "meaning"),
        ((f"`{one.name}`", one.kind, ", ".join(f"`{each}`" for each in one.labels), one.meaning) for one in metrics()),
    )


def events_told() -> str:
    """The table of the log's events."""
    return _table(
        ("event", "meaning", "with"),
        (
            (f"`{name}`", event.meaning, ", ".join(f"`{key}`" for key in sorted(event.keys)))
            for name, event in sorted(EVENTS.items())
        ),
    )


def attributes_told() -> str:
    """The table of the attributes of spans."""
    return _table(("attribute", "meaning"), ((f"`{name}`", meaning) for name, meaning in sorted(ATTRIBUTES.items())))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
