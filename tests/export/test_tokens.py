"""Tokens computed, cached and written apart: the kinds add up to the service's bill, and cost what they keep busy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.export import tables, token_costs
from planner.latency.llm.service import LlmService
from planner.latency.model import Arrivals, Machine, PlainReplica
from planner.tokens import TokenMix
from tests.builders import study as builder

MIX = TokenMix.of([600, 2400], [100, 300], [3, 1])


def replica(**parameters):
    service = LlmService.model_validate({"weights": "llama-3.1-8b", "precision": "bf16", **parameters})
    machine = Machine(
        "aws", "us-east-1", "g6e.xlarge", "g6e", "x86_64", 4.0, 32.0, accelerator="L40S", accelerators=1.0
    )
    return service.deployments(machine, Arrivals(1.0, MIX))[0].model


def served(model, usable_rps=6.0):
    """The study on round numbers, its one service answered by this model on every machine."""
    study = builder.study()
    frame = study.capacity.frame
    keys = frame[["service", "provider", "region", "instance_type", "deployment"]].itertuples(index=False, name=None)
    study.capacity = type(study.capacity)(
        frame, study.capacity.headroom, study.capacity.needs, dict.fromkeys(keys, model)
    )
    return study


def test_kinds_add_up_to_the_bill_of_their_service():
    study = served(replica(prefix_cache_hit_share=0.4))
    found = token_costs(study)
    assert found["token_kind"].tolist() == ["input", "cached input", "output"]
    cost = study.plan.cost
    assert found["cost_usd"].sum() == pytest.approx(cost.loc[cost["service"] == "web", "effective_cost_usd"].sum())
    assert found["cost_share"].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found["usd_per_1m_tokens"] * found["tokens"] / 1e6, found["cost_usd"])
    requests = study.load.volume("web").mean()
    assert found["tokens"].tolist()[:2] == pytest.approx([requests * 1050 * 0.6, requests * 1050 * 0.4])
    assert "tokens" in tables(study)


def test_deployments_of_one_machine_share_its_money_by_their_hours():
    """Three quarters of the machine-hours run one way: the kinds cost as the mix of both alone."""
    one, other = replica(prefix_cache_hit_share=0.4), replica(precision="fp8", prefix_cache_hit_share=0.4)
    alone = [token_costs(served(m)).set_index("token_kind")["cost_share"] for m in (one, other)]
    study = served(one)
    key, run = ("web", "aws", "us-east-1", "a.large"), study.plan.schedule
    split = [run.assign(deployment=d, instances=run["instances"] * part) for d, part in (("", 0.75), ("fp8", 0.25))]
    study.plan = replace(study.plan, schedule=pd.concat(split, ignore_index=True))
    frame = study.capacity.frame
    both = pd.concat([frame, frame[frame["instance_type"] == "a.large"].assign(deployment="fp8")], ignore_index=True)
    models = {(*key, ""): one, (*key, "fp8"): other}
    study.capacity = type(study.capacity)(both, study.capacity.headroom, study.capacity.needs, models)
    found = token_costs(study).set_index("token_kind")["cost_share"]
    assert abs(alone[0] - alone[1]).max() > 0.01
    np.testing.assert_allclose(found, 0.75 * alone[0] + 0.25 * alone[1])


def test_a_cached_token_is_cheaper_than_a_computed_one_and_a_written_one_dearest():
    usd = token_costs(served(replica(prefix_cache_hit_share=0.4))).set_index("token_kind")["usd_per_1m_tokens"]
    assert 0 < usd["cached input"] < usd["input"] < usd["output"]


def test_a_service_without_a_cache_or_without_tokens_has_no_such_row():
    assert token_costs(served(replica()))["token_kind"].tolist() == ["input", "output"]
    study = served(PlainReplica())
    assert not len(token_costs(study))
    assert "tokens" not in tables(study)


def test_the_work_of_a_request_is_what_the_replica_is_busy_with():
    """At the largest rate a replica that cannot hide prompts under decoding is busy all the time."""
    model = replica(prefix_cache_hit_share=0.3)
    work = model.token_work(2.0)
    assert work.input_s + work.cached_s == pytest.approx(float(model.station.tokens.weight @ model.station.prompt_s))
    assert model.token_work(4.0).output_s <= work.output_s, "a fuller batch shares its steps"
