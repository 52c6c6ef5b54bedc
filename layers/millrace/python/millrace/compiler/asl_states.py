"""What a state of each type may and must hold, and which services a Task may call, as tables."""

import re

from millrace.compiler import asl_fields as asl
from millrace.compiler.asl_fields import Checks

_COMMON: Checks = {"Type": asl.anything, "Comment": asl.any_text}
_MOVING: Checks = {"Next": asl.anything, "End": asl.anything}
_IN_OUT: Checks = {"InputPath": asl.optional_path, "OutputPath": asl.optional_path}
_RESULT: Checks = {
    "Parameters": asl.template,
    "ResultPath": asl.result_path,
    "ResultSelector": asl.template,
}
_HANDLING: Checks = {"Retry": asl.retriers, "Catch": asl.catchers}
FIELDS: dict[str, Checks] = {
    "Task": {
        **_COMMON,
        **_MOVING,
        **_IN_OUT,
        **_RESULT,
        **_HANDLING,
        "Resource": asl.text,
        "TimeoutSeconds": asl.whole_number(1),
        "TimeoutSecondsPath": asl.path,
        "HeartbeatSeconds": asl.whole_number(1),
        "HeartbeatSecondsPath": asl.path,
    },
    "Parallel": {
        **_COMMON,
        **_MOVING,
        **_IN_OUT,
        **_RESULT,
        **_HANDLING,
        "Branches": asl.anything,
    },
    "Map": {
        **_COMMON,
        **_MOVING,
        **_IN_OUT,
        **_RESULT,
        **_HANDLING,
        "ItemProcessor": asl.anything,
        "ItemsPath": asl.path,
        "ItemSelector": asl.template,
        "MaxConcurrency": asl.whole_number(0),
    },
    "Pass": {
        **_COMMON,
        **_MOVING,
        **_IN_OUT,
        "Parameters": asl.template,
        "Result": asl.anything,
        "ResultPath": asl.result_path,
    },
    "Wait": {
        **_COMMON,
        **_MOVING,
        **_IN_OUT,
        "Seconds": asl.whole_number(0),
        "SecondsPath": asl.path,
        "Timestamp": asl.timestamp,
        "TimestampPath": asl.path,
    },
    "Choice": {**_COMMON, **_IN_OUT, "Choices": asl.anything, "Default": asl.anything},
    "Succeed": {**_COMMON, **_IN_OUT},
    "Fail": {
        **_COMMON,
        "Error": asl.any_text,
        "ErrorPath": asl.dynamic,
        "Cause": asl.any_text,
        "CausePath": asl.dynamic,
    },
}
REQUIRED: dict[str, frozenset[str]] = {
    "Task": frozenset({"Resource"}),
    "Parallel": frozenset({"Branches"}),
    "Map": frozenset({"ItemProcessor"}),
    "Choice": frozenset({"Choices"}),
}
ONE_OF: dict[str, tuple[tuple[str, ...], ...]] = {
    "Wait": (("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),),
}
AT_MOST_ONE: dict[str, tuple[tuple[str, ...], ...]] = {
    "Task": (
        ("TimeoutSeconds", "TimeoutSecondsPath"),
        ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ),
    "Fail": (("Error", "ErrorPath"), ("Cause", "CausePath")),
    "Pass": (("Result", "Parameters"),),
}
# The service integrations that Millrace uses or may use, and what each cannot do without.
INTEGRATIONS: dict[str, frozenset[str]] = {
    "lambda:invoke": frozenset({"FunctionName"}),
    "states:startExecution": frozenset({"StateMachineArn"}),
    "sqs:sendMessage": frozenset({"QueueUrl", "MessageBody"}),
    "sns:publish": frozenset({"Message"}),
    "events:putEvents": frozenset({"Entries"}),
    "dynamodb:getItem": frozenset({"TableName", "Key"}),
    "dynamodb:putItem": frozenset({"TableName", "Item"}),
    "dynamodb:updateItem": frozenset({"TableName", "Key"}),
    "dynamodb:deleteItem": frozenset({"TableName", "Key"}),
}
PATTERNS = {
    "lambda:invoke": {"waitForTaskToken"},
    "states:startExecution": {"sync", "sync:2", "waitForTaskToken"},
    "sqs:sendMessage": {"waitForTaskToken"},
    "sns:publish": {"waitForTaskToken"},
    "events:putEvents": {"waitForTaskToken"},
}
RESOURCE = re.compile(r"arn:aws(?:-[a-z-]+)?:states:::(\w+:\w+)(?:\.([\w:]+))?")
FUNCTION = re.compile(r"arn:aws(?:-[a-z-]+)?:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(?::[\w$-]+)?")
