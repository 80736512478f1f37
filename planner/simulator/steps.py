"""A language model step by step, compiled: every iteration takes prompts in chunks beside a
token of each running sequence.
"""

from planner.arrays import Floats, Ints
from planner.compiling import compiled


@compiled
def play_steps(
    at: Floats,
    prompt_s: Floats,
    prompt_tokens: Floats,
    steps: Ints,
    step_s: Floats,
    chunk_tokens: float,
    first: Floats,
    done: Floats,
) -> None:
    """When each request's first token comes and its last [s]; first come, first served.

    ``at`` arrivals in order; ``prompt_s`` of the whole prompt and its ``prompt_tokens``; ``steps``
    after the first token; ``step_s`` [b] of a batch of b, whose last entry is the slots.  An
    iteration computes at most ``chunk_tokens`` of prompts, takes the time of both, and ends with
    a token for every running sequence; a prompt begins only where a slot is free.
    """
    n, slots = at.size, step_s.size - 1
    running = first.astype(first.dtype)  # places of the batch: which request, as a number
    left = done.astype(done.dtype)
    head, batch, now, computed = 0, 0, 0.0, 0.0
    while head < n or batch > 0:
        if batch == 0 and head < n and at[head] > now:
            now = at[head]
        room, begun, took = chunk_tokens, head, step_s[batch]
        while begun < n and at[begun] <= now and batch + begun - head < slots and room > 0:
            rest = prompt_tokens[begun] - computed
            part = min(rest, room)
            took += prompt_s[begun] * (part / prompt_tokens[begun]) if prompt_tokens[begun] > 0 else 0.0
            room -= part
            if part < rest:
                computed += part
                break
            computed = 0.0
            begun += 1
        now += took
        k = 0
        while k < batch:
            left[k] -= 1.0
            if left[k] <= 0.0:
                done[int(running[k])] = now
                batch -= 1
                running[k], left[k] = running[batch], left[batch]
            else:
                k += 1
        for i in range(head, begun):
            first[i] = done[i] = now
            if steps[i] > 0:
                running[batch], left[batch] = float(i), float(steps[i])
                batch += 1
        head = begun
