"""What a host is told to load: the configuration and the namespaces of one moment. Knows no process and no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from durable.config import Config
from durable.wire.messages import Load, NamespaceInfo


def nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Program:
    """A configuration whose migrations are applied, or are by `commit`, with the namespaces that result."""

    config: Config
    namespaces: Sequence[NamespaceInfo]
    state: Path
    commit: Callable[[], None] = field(default=nothing, compare=False)
    """To be called once its code was loaded and before a host may store anything; harmless twice."""

    def loads_like(self, other: Program) -> bool:
        """Whether a host would be told the same, and be limited alike."""
        same = self.load_message(host_number=0, shard=0, shards=1) == other.load_message(
            host_number=0, shard=0, shards=1
        )
        return same and self.config.dev.memory_mb == other.config.dev.memory_mb

    def load_message(
        self,
        *,
        host_number: int,
        shard: int,
        shards: int,
        preimport: Sequence[str] = (),
        sources: Mapping[str, bytes] | None = None,
    ) -> Load:
        """`sources` are compiled in place of what these files hold now."""
        config = self.config
        return Load(
            root=str(config.root),
            main=str(config.main),
            state=str(self.state),
            namespaces=list(self.namespaces),
            bindings={binding.name: binding.class_name for binding in config.bindings if binding.script_name is None},
            vars={**config.vars, **config.secrets},
            compatibility_date=config.compatibility_date,
            durability=config.dev.durability,
            idle_seconds=config.dev.idle_seconds,
            host_number=host_number,
            shard=shard,
            shards=shards,
            preimport=list(preimport),
            pitr_days=config.dev.pitr_days,
            portability=config.dev.portability,
            memory_mb=config.dev.memory_mb,
            sources=dict(sources or {}),
            secrets=sorted(config.secrets),
        )


def config_files(config: Config) -> list[Path]:
    """Every file that the configuration is read from, whether or not it exists."""
    names = [".dev.vars", ".env"]
    if config.environment is not None:
        names += [f"{name}.{config.environment}" for name in names]
    return [config.path, *(config.root / name for name in names)]
