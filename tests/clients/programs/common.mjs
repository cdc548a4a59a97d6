// What the npm programs share: they read what to do from standard input and print one JSON object of what they saw.
import { text } from "node:stream/consumers";

export const SOURCES = "urn:connect-care:sources";

/** Do the asked cases, one after the other; a case that throws has seen its error's words. */
export async function run(clientOf, cases) {
  const world = JSON.parse(await text(process.stdin));
  const seen = {};
  for (const name of world.cases) {
    try {
      seen[name] = await cases[name](await clientOf(world), world);
    } catch (error) {
      seen[name] = { threw: String(error?.message ?? error).slice(0, 800) };
    }
  }
  console.log(JSON.stringify(seen));
}

export const matches = (bundle) =>
  (bundle.entry ?? []).filter((entry) => entry.search?.mode === "match").map((entry) => entry.resource);

export const ids = (resources) => resources.map((resource) => `${resource.resourceType}/${resource.id}`);

/** What an application reads of a searchset. */
export const set = (bundle) => ({ total: bundle.total, ids: ids(matches(bundle)) });

export const tagsOf = (bundle) =>
  (bundle.meta?.tag ?? []).filter((tag) => tag.system === SOURCES).map((tag) => tag.code);

/** The sentences on sources, wherever a list of resources holds an OperationOutcome. */
export const outcomesIn = (resources) =>
  resources
    .filter((resource) => resource?.resourceType === "OperationOutcome")
    .flatMap((outcome) => outcome.issue.map((issue) => issue.details.text));

export const resourcesOf = (bundle) => (bundle.entry ?? []).map((entry) => entry.resource);

/** What an OperationOutcome says to do. */
export const told = (outcome) => ({ code: outcome.issue[0].code, told: outcome.issue[0].details.text });

/** Three reads in one call: a search, a person, and something that isn't there. */
export const batchOf = (patient) => ({
  resourceType: "Bundle",
  type: "batch",
  entry: [`Encounter?patient=${patient}`, `Patient/${patient}`, "Observation/nothing-of-this-id"].map((url) => ({
    request: { method: "GET", url },
  })),
});

export const batchSeen = (bundle) => ({
  statuses: bundle.entry.map((entry) => Number.parseInt(entry.response.status, 10)),
  searched: set(bundle.entry[0].resource),
  read: bundle.entry[1].resource.id,
  missing: told(bundle.entry[2].response.outcome ?? bundle.entry[2].resource),
});

/** Sign in as a GP at the demo's identity provider: what a browser would do at the address that the client made. */
export async function callbackFrom(authorize) {
  const answer = await fetch(`${authorize}&as=gp`, { redirect: "manual" });
  return answer.headers.get("location");
}
