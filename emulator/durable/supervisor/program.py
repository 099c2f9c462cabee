"""What a host is told to load: the configuration and the namespaces of one moment. Knows no process and no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from durable.config import Config
from durable.config.secrets import secret_files
from durable.gateway.neighbours import Surroundings
from durable.wire.messages import AssetsInfo, Load, NamespaceInfo


def nothing() -> None:
    return


class Program(Struct, frozen=True):
    """A configuration whose migrations are applied, or are by `commit`, with the namespaces that result."""

    config: Config
    namespaces: Sequence[NamespaceInfo]
    state: Path
    surroundings: Surroundings = field(default_factory=Surroundings)
    """What it finds of other workers."""
    commit: Callable[[], None] = nothing
    """To be called once its code was loaded and before a host may store anything; harmless twice."""

    def namespaces_by_word(self) -> dict[str, NamespaceInfo]:
        """Namespaces by the names of their classes and of the bindings to them."""
        found = {namespace.class_name: namespace for namespace in self.namespaces}
        bound = {
            binding.name: found[binding.class_name]
            for binding in self.config.bindings
            if binding.script_name is None and binding.class_name in found
        }
        return bound | found

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
            script=config.name,
            services=list(self.surroundings.services),
            neighbours=list(self.surroundings.classes),
            assets=self._assets(),
            unserved={each.name: each.sentence for each in config.unserved} | dict(self.surroundings.missing),
            compatibility_flags=list(config.compatibility_flags),
        )

    def _assets(self) -> AssetsInfo | None:
        assets = self.config.assets
        if assets is None:
            return None
        first = assets.run_worker_first
        return AssetsInfo(
            assets.binding,
            str(assets.directory),
            assets.html_handling,
            assets.not_found_handling,
            [str(path) for path in private_paths(self.config, self.state)],
            first if isinstance(first, bool) else list(first),
        )


def private_paths(config: Config, state: Path) -> list[Path]:
    """What is not served as an asset, whatever folder is named: --persist-to may have put the state into it."""
    return [config.path, state, *(state.parent / name for name in ("run", "deleted"))]


def asset_folders(config: Config) -> list[Path]:
    """Folders whose files are read anew for every request: saving one there reloads no code."""
    assets = config.assets
    return [] if assets is None or config.main.is_relative_to(assets.directory) else [assets.directory]


def config_files(config: Config) -> list[Path]:
    """Every file that the configuration is read from, whether or not it exists."""
    first, layers = secret_files(config.root, config.environment)
    return [config.path, *first, *layers]
