// Runs state machines in aws-local-stepfunctions: cases as JSON on stdin, what happened on stdout.
// A case is {definition, outcomes: {stepId: [{error, message} | null]}, decisions: [lifecycle answers]}.
import { readFileSync } from "node:fs";

// The package asks for Node 22 for this function alone; Node 20 serves with it.
Promise.withResolvers ??= function () {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  return deferred;
};
const { StateMachine } = await import("aws-local-stepfunctions");

function* statesOf(scope) {
  for (const [name, state] of Object.entries(scope.States)) {
    yield [name, state];
    for (const branch of state.Branches ?? []) yield* statesOf(branch);
  }
}

async function run({ definition, outcomes, decisions }) {
  const calls = [];
  const invoke = async ({ Payload }) => {
    calls.push(Payload);
    if (Payload.event) {
      const answer = Payload.event === "attemptFailed" ? (decisions.shift() ?? {}) : {};
      return { Payload: answer };
    }
    const outcome = outcomes[Payload.stepId]?.shift();
    if (!outcome) return { Payload: {} };
    // As Lambda reports a function's exception: its type is the error's name, its cause is JSON.
    const cause = { errorMessage: outcome.message, errorType: outcome.error };
    throw Object.assign(new Error(JSON.stringify(cause)), { name: outcome.error });
  };
  const states = [...statesOf(definition)];
  const named = (type) => states.filter(([, state]) => state.Type === type).map(([name]) => name);
  const all = (names, value) => Object.fromEntries(names.map((name) => [name, value]));
  const machine = new StateMachine(definition);
  const execution = machine.run(
    { workspaceId: "ws_1", runId: "run_1", attempt: 1 },
    {
      overrides: {
        taskResourceLocalHandlers: all(named("Task"), invoke),
        waitTimeOverrides: all(named("Wait"), 0),
        retryIntervalOverrides: all(named("Task"), 0),
      },
    },
  );
  try {
    return { status: "SUCCEEDED", output: await execution.result, calls };
  } catch (error) {
    return { status: "FAILED", error: error.name, calls };
  }
}

const cases = JSON.parse(readFileSync(0, "utf8"));
const results = [];
for (const found of cases) results.push(await run(found));
process.stdout.write(JSON.stringify(results));
process.exit(0);
