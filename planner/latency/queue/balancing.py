"""What a balancer is worth in the limit of many servers, in closed form."""

import math


def power_of_choices_mean_response(utilization: float, choices: int) -> float:
    """Mean response in mean services of an endless pool of M/M/1 FCFS servers, each request to the
    shortest of d drawn.

    Σ_{i≥1} ρ^{(dⁱ − d)/(d − 1)} (Mitzenmacher 2001; Vvedenskaya, Dobrushin & Karpelevich 1996);
    ``inf`` at ρ ≥ 1.
    """
    if utilization >= 1:
        return float("inf")
    if choices == 1:
        return 1 / (1 - utilization)
    total, i = 0.0, 1
    while True:
        term = math.pow(utilization, (choices**i - choices) / (choices - 1))
        total += term
        if term < 1e-18:
            return total
        i += 1
