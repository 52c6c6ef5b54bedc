"""What template.yaml declares of the table is what the stores ask of it."""

from tests.support.aws import template

from millrace.storage import keys


def test_the_index_of_all_runs_holds_what_they_are_filtered_by() -> None:
    """A filter on what the index does not hold would find nothing."""
    indexes = template()["Resources"]["Table"]["Properties"]["GlobalSecondaryIndexes"]
    projections = {index["IndexName"]: index["Projection"] for index in indexes}
    assert projections["gsi4"]["NonKeyAttributes"] == [*keys.RUN_FILTERED]


def test_the_control_plane_may_query_every_index() -> None:
    """Its policy names each; the simulated AWS asks for no permission."""
    resources = template()["Resources"]
    indexes = resources["Table"]["Properties"]["GlobalSecondaryIndexes"]
    policy = resources["ApiFunction"]["Properties"]["Policies"][0]["Statement"][0]
    named = {f"${{Table.Arn}}/index/{index['IndexName']}" for index in indexes}
    assert "dynamodb:Query" in policy["Action"]
    assert named <= {*policy["Resource"]}


def test_the_worker_may_call_functions_of_the_prefix_and_no_others() -> None:
    """What docs/flows.md promises; above all it may not call the stack's own functions."""
    resources = template()["Resources"]
    statements = resources["RunStepFunction"]["Properties"]["Policies"][0]["Statement"]
    (calling,) = (each for each in statements if each["Action"] == "lambda:InvokeFunction")
    assert calling["Resource"].endswith(":${AWS::AccountId}:function:${FunctionPrefix}*")
    assert template()["Parameters"]["FunctionPrefix"]["Default"] == "millrace-fn-"
