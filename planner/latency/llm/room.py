"""Whether a model fits a machine, how many sequences run on it at once, and what would make it fit.

A replica's accelerators hold its weights, what the server takes besides, and the state of running
sequences. Where not even one of the longest requests fits, the excuse names each setting that alone
would mend it, with the value that does.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from planner.latency.hardware import GIB, Accelerator
from planner.latency.llm.architecture import WEIGHT_BITS, Architecture, Memory, default_sequences, memory
from planner.latency.llm.steps import Layout
from planner.latency.model import Excuse
from planner.tokens import TokenMix

# the most that servers take of a card before what else runs there stops them (vLLM optimization
# guide, 2025), and the fewest sequences and tokens that a remedy offers
_MOST_UTILIZATION, _FEWEST_SEQUENCES, _FEWEST_TOKENS = 0.97, 8, 512
_NARROWER = ("fp8", "int8", "int4", "fp4", "mxfp4")


@dataclass(frozen=True)
class Room:
    """How a server uses the memory of its accelerators: ``utilization`` [share] it may take,
    ``max_sequences`` it runs at once and ``max_model_len`` [tokens] of its longest request (None:
    its defaults), ``server`` a name of ``SERVERS``, in which ``kv_precision`` states are kept.
    """

    model: Architecture
    kv_precision: str
    utilization: float
    max_sequences: int | None
    max_model_len: int | None
    server: str

    def sequences(self, visible_gib: float) -> int:
        """Sequences that the server is configured for on a board of ``visible_gib``."""
        return self.max_sequences or default_sequences(visible_gib)

    def budget(self, precision: str, visible_gib: float, layout: Layout) -> Memory:
        """Memory of one accelerator of a replica in this layout."""
        return memory(
            self.model,
            precision,
            visible_gib,
            tensor_parallel=layout.tensor_parallel,
            pipeline_parallel=layout.pipeline_parallel,
            data_parallel=layout.data_parallel,
            utilization=self.utilization,
            max_sequences=self.sequences(visible_gib),
            server=self.server,
        )

    def longest(self, mix: TokenMix) -> float:
        """Tokens of the longest request: as configured, else the longest of the traffic that the
        model takes.
        """
        return float(
            self.max_model_len or min((mix.input_tokens + mix.output_tokens).max(), self.model.max_context_tokens)
        )

    def missing_gib(self, precision: str, visible_gib: float, layout: Layout, mix: TokenMix) -> float:
        """GiB that one accelerator lacks for one of the longest requests; 0 or less where it fits."""
        one = self.model.sequence_bytes(
            self.longest(mix), self.kv_precision, layout.tensor_parallel, layout.pipeline_parallel
        )
        return float(one) / GIB - self.budget(precision, visible_gib, layout).kv_cache_gib

    def slots(self, precision: str, visible_gib: float, layout: Layout, mix: TokenMix) -> float:
        """Sequences that run at once on a replica: a whole number on each rank, at least 1.

        The key-value cache over the mean state of a running sequence, that of input + 0.75 · output
        tokens: a state grows with each token, and half of the output is there on average, so this
        leaves room. A sequence that fits in part waits, which counts where few fit. Bounded by the
        configured sequences, on each rank of attention.
        """
        held = self.model.sequence_bytes(
            mix.input_tokens + 0.75 * mix.output_tokens,
            self.kv_precision,
            layout.tensor_parallel,
            layout.pipeline_parallel,
        )
        each, most = float(mix.weight @ held) / GIB, float(self.sequences(visible_gib))
        cache = self.budget(precision, visible_gib, layout).kv_cache_gib
        fits = math.floor(min(most, cache / each) + 1e-9) if each > 0 else most
        return max(float(fits), 1.0) * layout.data_parallel

    def excuse(
        self, chip: Accelerator, precision: str, visible_gib: float, layout: Layout, mix: TokenMix, share: float
    ) -> Excuse | None:
        """Why the model does not fit ``layout`` on this accelerator (``share`` of one where a slice
        is sold); None where it does.
        """
        too_long = self.longest(mix) - self.model.max_context_tokens
        if too_long > 0:
            return Excuse(
                f"{self.model.weights} takes {self.model.max_context_tokens} tokens at most",
                f"{too_long:.0f} tokens too long",
            )
        missing = self.missing_gib(precision, visible_gib, layout, mix)
        if missing <= 0:
            return None
        return Excuse(
            f"{self.model.weights} in {precision} does not fit {layout.accelerators * share:g} × {chip.name}",
            f"{missing * layout.accelerators:.1f} GiB missing",
        )

    def remedies(
        self, chip: Accelerator, precision: str, visible_gib: float, layouts: list[Layout], mix: TokenMix, stated: bool
    ) -> Iterator[str]:
        """Each setting that alone makes the largest of ``layouts`` fit, with its value; ``stated``:
        the bytes of the release are, so that another precision needs those of its own.
        """
        widest = max(layouts, key=lambda one: one.accelerators)

        def fits(room: Room, wanted: str = precision) -> bool:
            return room.missing_gib(wanted, visible_gib, widest, mix) <= 0

        for narrower in _NARROWER:
            known = not math.isnan(chip.flops(narrower)) and WEIGHT_BITS[narrower] < WEIGHT_BITS[precision]
            gib = math.ceil(10 * sum(self.model.weight_bytes(narrower)) / GIB) / 10
            room = replace(self, model=self.model.released(narrower, gib)) if stated else self
            if known and fits(room, narrower):
                beside = f" with latency.weights_gib: {gib:g}" if stated else ""
                yield f"latency.precision: {narrower}{beside}"
                break
        if self.kv_precision in ("bf16", "fp16") and fits(replace(self, kv_precision="fp8")):
            yield "latency.kv_precision: fp8"
        first, last = math.floor(100 * self.utilization) + 1, round(100 * _MOST_UTILIZATION)
        more = (k / 100 for k in range(first, last + 1))
        share = next((s for s in more if fits(replace(self, utilization=s))), None)
        if share is not None:
            yield f"latency.memory_utilization: {share:g}"
        few = _halving(self.sequences(visible_gib), _FEWEST_SEQUENCES, lambda n: fits(replace(self, max_sequences=n)))
        needed = max(math.ceil(float((mix.input_tokens + mix.output_tokens).max())), _FEWEST_TOKENS)
        short = _halving(self.max_model_len or 0, needed, lambda n: fits(replace(self, max_model_len=n)))
        yield from (f"latency.{name}: {n}" for name, n in (("max_sequences", few), ("max_model_len", short)) if n)


def _halving(start: int, fewest: int, fits: Callable[[int], bool]) -> int:
    """The largest halving of ``start``, at least ``fewest``, that fits; 0 where none does."""
    value = start // 2
    while value >= fewest and not fits(value):
        value //= 2
    return value if value >= fewest else 0
