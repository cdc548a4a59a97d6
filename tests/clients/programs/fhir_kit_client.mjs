// npm fhir-kit-client.
import { Client } from "fhir-kit-client";
import { batchOf, batchSeen, outcomesIn, resourcesOf, run, set, tagsOf, told } from "./common.mjs";

const client = ({ base, token }) => new Client({ baseUrl: base, bearerToken: token });

/** The client's error holds the status, the OperationOutcome and the headers. */
async function failure(promise) {
  const error = await promise.then(
    () => { throw new Error("it was answered"); },
    (error) => error,
  );
  const { status, data } = error.response;
  return { status, retryAfter: error.config.headers.get("retry-after"), ...told(data) };
}

const encounters = (client, patient, options) =>
  client.search({ resourceType: "Encounter", searchParams: { patient }, options });

await run(client, {
  async discovery(client) {
    const statement = await client.capabilityStatement();
    const { authorizeUrl, tokenUrl } = await client.smartAuthMetadata();
    return { fhirVersion: statement.fhirVersion, authorize: authorizeUrl.href, token: tokenUrl.href };
  },
  search: async (client, { patient }) => set(await encounters(client, patient)),
  "post-search": async (client, { patient }) => set(await encounters(client, patient, { postSearch: true })),
  async read(client, { patient, observation }) {
    const [resourceType, id] = observation.split("/");
    return {
      patient: (await client.read({ resourceType: "Patient", id: patient })).id,
      observation: (await client.read({ resourceType, id })).id,
    };
  },
  async paging(client, { long }) {
    let bundle = await client.search({ resourceType: "Observation", searchParams: { patient: long, _count: 25 } });
    const seen = { pages: 0, total: bundle.total, ids: [] };
    while (bundle) {
      seen.pages += 1;
      seen.ids.push(...set(bundle).ids);
      bundle = await client.nextPage({ bundle });
    }
    return seen;
  },
  everything: async (client, { patient }) =>
    set(await client.operation({ name: "$everything", resourceType: "Patient", id: patient, method: "GET" })),
  batch: async (client, { patient }) => batchSeen(await client.batch({ body: batchOf(patient) })),
  compartment: async (client, { patient }) =>
    set(await client.search({ resourceType: "Encounter", compartment: { resourceType: "Patient", id: patient } })),
  async totals(client, { long }) {
    const searchParams = { patient: long, _summary: "count" };
    return { total: (await client.search({ resourceType: "Observation", searchParams })).total };
  },
  forbidden: (client, { stranger }) => failure(encounters(client, stranger)),
  "not-found": (client) => failure(client.read({ resourceType: "Observation", id: "nothing-of-this-id" })),
  "too-many": (_client, { patient, limited }) => failure(encounters(client(limited), patient)),
  unavailable: (client, { patient }) => failure(encounters(client, patient)),
  async partial(client, { patient }) {
    const bundle = await client.search({ resourceType: "AllergyIntolerance", searchParams: { patient } });
    const { response } = Client.httpFor(bundle);
    return {
      ids: set(bundle).ids,
      header: response.headers.get("connect-care-sources"),
      tags: tagsOf(bundle),
      outcomes: outcomesIn(resourcesOf(bundle)),
    };
  },
});
