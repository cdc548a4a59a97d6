// npm @medplum/core.
import { MedplumClient } from "@medplum/core";
import { batchOf, batchSeen, ids, outcomesIn, resourcesOf, run, set, tagsOf, told } from "./common.mjs";

let tries = 0;

function client({ base, token }) {
  const [, origin, path] = base.match(/^(https?:\/\/[^/]+\/)(.*)$/);
  return new MedplumClient({
    baseUrl: origin,
    fhirUrlPath: path,
    accessToken: token,
    fetch: (url, options) => {
      tries += 1;
      return fetch(url, options);
    },
  });
}

/** The client's error holds the OperationOutcome alone: neither status nor headers. */
async function failure(promise) {
  tries = 0;
  const error = await promise.then(
    () => { throw new Error("it was answered"); },
    (error) => error,
  );
  return { tries, ...told(error.outcome) };
}

await run(client, {
  async discovery(client) {
    const { fhirVersion } = await client.get(client.fhirUrl("metadata"));
    const configuration = await client.get(client.fhirUrl(".well-known", "smart-configuration"));
    const { authorization_endpoint: authorize, token_endpoint: token } = configuration;
    return { fhirVersion, authorize, token };
  },
  search: async (client, { patient }) => set(await client.search("Encounter", { patient })),
  "post-search": async (client, { patient }) =>
    set(
      await client.post(client.fhirUrl("Encounter", "_search"), `patient=${patient}`, "application/x-www-form-urlencoded"),
    ),
  async read(client, { patient, observation }) {
    return {
      patient: (await client.readResource("Patient", patient)).id,
      observation: (await client.readResource(...observation.split("/"))).id,
    };
  },
  async paging(client, { long }) {
    const seen = { pages: 0, ids: [] };
    for await (const page of client.searchResourcePages("Observation", { patient: long, _count: 25 })) {
      seen.pages += 1;
      seen.total = page.bundle.total;
      seen.ids.push(...ids(page.filter((resource) => resource.resourceType === "Observation")));
    }
    return seen;
  },
  everything: async (client, { patient }) => set(await client.readPatientEverything(patient)),
  batch: async (client, { patient }) => batchSeen(await client.executeBatch(batchOf(patient))),
  compartment: async (client, { patient }) => set(await client.get(client.fhirUrl("Patient", patient, "Encounter"))),
  totals: async (client, { long }) => ({
    total: (await client.search("Observation", { patient: long, _summary: "count" })).total,
  }),
  forbidden: (client, { stranger }) => failure(client.search("Encounter", { patient: stranger })),
  "not-found": (client) => failure(client.readResource("Observation", "nothing-of-this-id")),
  "too-many": (_client, { patient, limited }) => failure(client(limited).search("Encounter", { patient })),
  unavailable: (client, { patient }) => failure(client.search("Encounter", { patient })),
  async partial(client, { patient }) {
    const bundle = await client.search("AllergyIntolerance", { patient });
    const list = await client.searchResources("AllergyIntolerance", { patient });
    return {
      ids: set(bundle).ids,
      tags: tagsOf(bundle),
      outcomes: outcomesIn(resourcesOf(bundle)),
      inLists: outcomesIn(list),
    };
  },
});
