"""How each column is shown in the tables of the pages: its heading, its format, its explanation;
once for all pages.
"""

import streamlit as st

CELLS = {
    "service": st.column_config.TextColumn("Service"),
    "provider": st.column_config.TextColumn("Cloud"),
    "region": st.column_config.TextColumn("Region"),
    "instance_type": st.column_config.TextColumn("Machine"),
    "deployment": st.column_config.TextColumn(
        "Layout",
        help="Precision and number of accelerators a replica spans; empty for plain services",
    ),
    "paid": st.column_config.TextColumn(
        "Paid", help="Share of its machine hours that commitments pay; the rest is on demand"
    ),
    "mean": st.column_config.NumberColumn("Mean"),
    "most": st.column_config.NumberColumn("Most", format="%.0f"),
    "work_share": st.column_config.NumberColumn("In the plan", help="Share of the service's capacity"),
    "usable_rps": st.column_config.NumberColumn(
        "Requests/s", format="%,.3g", help="What one replica may carry, after all headroom"
    ),
    "rate_usd_per_h": st.column_config.NumberColumn(
        "USD an hour", format="%.4g", help="List price of one machine on demand"
    ),
    "usd_per_1m_requests": st.column_config.NumberColumn(
        "USD per million", format="%.3g", help="A million requests on demand, machine fully used"
    ),
    "machine": st.column_config.TextColumn("Machine"),
    "where": st.column_config.TextColumn("Where"),
    "basis": st.column_config.TextColumn(
        "Basis", help="measured, modeled or assumed; of a price: observed, composed or modeled"
    ),
    "error_share": st.column_config.NumberColumn("Model error, ±"),
    "objective": st.column_config.TextColumn("Objective"),
    "limit_s": st.column_config.NumberColumn("Limit, s", format="%.4g"),
    "typical_latency_s": st.column_config.NumberColumn(
        "Typical, s", format="%.3g", help="At the objective's percentile on the middle future"
    ),
    "high_latency_s": st.column_config.NumberColumn(
        "High, s", format="%.3g", help="At the objective's percentile when load is high"
    ),
    "within_share": st.column_config.NumberColumn("In time", help="Share of requests within the objective"),
    "within_low_share": st.column_config.NumberColumn("In time, bad future", help="9 of 10 futures do better"),
    "percentile_share": st.column_config.TextColumn("Asked", help="The objective's own percentile"),
    "beyond_plan_share": st.column_config.TextColumn(
        "Beyond the plan", help="Late in hours of more load than the plan is ready for"
    ),
    "worst_hour_share": st.column_config.TextColumn("In time, worst hour", help="Over all futures"),
    "load_multiplier": st.column_config.NumberColumn(
        "Margin",
        format="%.2f",
        help="What is borne over what is planned; below 1 it fails as planned",
    ),
    "mending_usd_per_month": st.column_config.NumberColumn("Mending, USD a month", format="%,.0f"),
    "sentence": st.column_config.TextColumn("What happens", width="large"),
    "kind": st.column_config.TextColumn("What was done"),
    "rows": st.column_config.NumberColumn("Rows", format="%,d"),
    "detail": st.column_config.TextColumn("Detail", width="large"),
    "days": st.column_config.NumberColumn("Days ahead", format="%.0f"),
    "windows": st.column_config.NumberColumn("Times tried", format="%d"),
    "coverage_90_share": st.column_config.TextColumn("Hours below the 90 % line", help="Close to 90 % is right"),
    "coverage_99_share": st.column_config.TextColumn("Hours below the 99 % line", help="Close to 99 % is right"),
    "peak_exceeded_share": st.column_config.TextColumn("Peak above the 95 % line", help="About 5 % is right"),
    "value": st.column_config.NumberColumn("Value", format="%.4g"),
    "monthly_usd": st.column_config.TextColumn("Cost a month"),
    "variant": st.column_config.TextColumn("Plan"),
    "more_usd": st.column_config.TextColumn("More a month"),
    "difference_share": st.column_config.TextColumn("More"),
    "error": st.column_config.TextColumn("Why not", width="large"),
    "bound_usd": st.column_config.TextColumn("At least, a month"),
    "note": st.column_config.TextColumn("Note", width="large"),
    "reasons": st.column_config.TextColumn("Why", width="large"),
    "reason": st.column_config.TextColumn("Why not", width="medium"),
    "types": st.column_config.NumberColumn("Machine types", format="%,d"),
    "example": st.column_config.TextColumn("For example"),
    "gap": st.column_config.TextColumn("How far off", width="medium"),
    "commitment": st.column_config.TextColumn("Commitment", width="large"),
    "quantity": st.column_config.NumberColumn("Quantity", format="%.4g"),
    "planned_usd": st.column_config.NumberColumn("Planned, USD", format="%,.2f"),
    "actual_usd": st.column_config.NumberColumn("Paid, USD", format="%,.2f"),
    "difference_usd": st.column_config.NumberColumn("Difference, USD", format="%+,.2f"),
    "paid_usd": st.column_config.NumberColumn("Paid, USD", format="%,.2f"),
    "planned_utilization": st.column_config.NumberColumn("Use planned"),
    "billed_utilization": st.column_config.NumberColumn("Use billed"),
    "what": st.column_config.TextColumn("What to change", width="large"),
    "came": st.column_config.TextColumn("Requests that came"),
    "forecast": st.column_config.TextColumn("Forecast (P10 to P90)"),
    "hourly_error": st.column_config.TextColumn("Error of an hour"),
    "inside": st.column_config.TextColumn("Hours within the 80 % band", help="About 80 % is right"),
    "peak": st.column_config.TextColumn("Busiest hour, requests/s (expected)"),
    "alert": st.column_config.TextColumn("Alert"),
    "severity": st.column_config.TextColumn("Told by", help="A page wakes the on-call; a ticket waits for the day"),
    "after": st.column_config.TextColumn("After"),
    "says": st.column_config.TextColumn("Says", width="large"),
    "action": st.column_config.TextColumn("What to do", width="large"),
    "threshold": st.column_config.TextColumn("Limit"),
    "because": st.column_config.TextColumn("Because"),
    "label": st.column_config.TextColumn("Revision"),
    "state": st.column_config.TextColumn("State", help="idea, agreed (an owner for every dollar), budgeted"),
    "author": st.column_config.TextColumn("Who"),
    "at": st.column_config.DatetimeColumn("When, UTC", format="D MMM YYYY, HH:mm"),
    "why": st.column_config.TextColumn("Why", width="large"),
    "price_as_of": st.column_config.TextColumn("Prices of"),
    "unit": st.column_config.TextColumn("Unit"),
    "term_months": st.column_config.NumberColumn("Months", format="%d"),
    "payment": st.column_config.TextColumn("Up front"),
    "start": st.column_config.DateColumn("From", format="D MMM YYYY"),
    "end": st.column_config.DateColumn("Until", format="D MMM YYYY"),
    "upfront_usd": st.column_config.NumberColumn("Up front, USD", format="%,.0f"),
    "hourly_usd": st.column_config.NumberColumn("USD/h", format="%.4g"),
    "commitment_utilization": st.column_config.NumberColumn("Used"),
    "break_even_utilization": st.column_config.NumberColumn(
        "Pays above", help="Used less than this, on demand would have been cheaper"
    ),
    "rests": st.column_config.TextColumn("The bill rests on"),
    "owner": st.column_config.TextColumn("Owner"),
    "cost_center": st.column_config.TextColumn("Cost center"),
    "charge": st.column_config.TextColumn("Charge"),
    "effective_cost_usd": st.column_config.NumberColumn(
        "Cost, USD", format="%,.0f", help="Commitments spread over their term (amortized)"
    ),
    "billed_cost_usd": st.column_config.NumberColumn(
        "Cash, USD", format="%,.0f", help="As on the invoices of these months"
    ),
    "list_cost_usd": st.column_config.NumberColumn(
        "At list, USD", format="%,.0f", help="The same machines on demand at list price"
    ),
    "usd_per_month": st.column_config.NumberColumn(
        "USD/month",
        format="%,.0f",
        help="Effective: commitments spread over their term (amortized)",
    ),
    "usd_each": st.column_config.NumberColumn("USD", format="%.5f", help="Idle hours and all other charges included"),
    "event": st.column_config.TextColumn("What happens"),
    "times": st.column_config.NumberColumn(
        "× plan",
        format="%.2f",
        help="What is borne over what is planned; below 1 it fails as planned",
    ),
    "then": st.column_config.TextColumn("Then"),
    "change": st.column_config.TextColumn("What"),
    "today": st.column_config.TextColumn("Today"),
    "recommended": st.column_config.TextColumn("Recommended"),
    "promise": st.column_config.TextColumn("Promise"),
    "limit": st.column_config.TextColumn("Within"),
    "month": st.column_config.TextColumn("Month"),
    "amortized": st.column_config.TextColumn("Spread over the term (amortized)"),
    "cash": st.column_config.TextColumn("Cash on the invoice"),
    "at_list": st.column_config.TextColumn("List price, on demand"),
    "when": st.column_config.TextColumn("First in"),
    "mending": st.column_config.TextColumn("Mending/month"),
    "regret_low_usd": st.column_config.NumberColumn("Regret, −30 %", format="%,.0f"),
    "regret_high_usd": st.column_config.NumberColumn("Regret, +50 %", format="%,.0f"),
    "error_budget_share": st.column_config.TextColumn("Late over allowed", help="Above 100 % a target is missed"),
    "vcpus": st.column_config.NumberColumn("vCPUs", format="%.4g"),
    "memory_gib": st.column_config.NumberColumn("Memory, GiB", format="%.4g"),
    "accelerator": st.column_config.TextColumn("Accelerator"),
    "accelerators": st.column_config.NumberColumn("How many", format="%.3g"),
    "on_demand": st.column_config.NumberColumn("On demand, USD/h", format="%.4f"),
    "spot": st.column_config.NumberColumn("Spot, USD/h", format="%.4f"),
    "as_of": st.column_config.TextColumn("As of"),
    "source": st.column_config.TextColumn("Where the prices were read"),
    "list": st.column_config.NumberColumn("List", format="%d", help="The lists are named below"),
    "machines": st.column_config.NumberColumn("Machines", format="%,d"),
}
