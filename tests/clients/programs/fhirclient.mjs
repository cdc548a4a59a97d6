// npm fhirclient (SMART Health IT's own).
import smart from "fhirclient";
import { batchOf, batchSeen, callbackFrom, outcomesIn, resourcesOf, run, set, tagsOf, told } from "./common.mjs";

const CALLBACK = "http://127.0.0.1:1/app/callback";
const FHIR_JSON = { "content-type": "application/fhir+json" };
const FORM = { "content-type": "application/x-www-form-urlencoded" };

/** The request of a page of this application, as Node.js would hand it over. */
const page = (url, session) => ({ url, session, headers: { host: "127.0.0.1:1" }, socket: {} });

function client({ base, token, patient }) {
  const state = { serverUrl: base, tokenResponse: { access_token: token, patient } };
  return smart(page("/app", {}), {}).client(state);
}

/** The address to sign in at, which the client puts together from what the gateway publishes. */
async function authorize({ base, issuer }, session) {
  let sentTo;
  const response = { writeHead: (_status, headers) => (sentTo = headers.location), end: () => {} };
  const options = { iss: base, clientId: "an-app", scope: "openid user/*.rs", redirectUri: CALLBACK };
  await smart(page(`/app/launch`, session), response).authorize(options);
  if (!sentTo.startsWith(issuer)) throw new Error(`sent to ${sentTo}`);
  return sentTo;
}

/** The client's error holds the OperationOutcome's text at the end of its message. */
async function failure(promise) {
  const error = await promise.then(
    () => { throw new Error("it was answered"); },
    (error) => error,
  );
  const outcome = JSON.parse(error.message.slice(error.message.indexOf("{")));
  return { status: error.status, retryAfter: error.response.headers.get("retry-after"), ...told(outcome) };
}

await run(client, {
  async discovery(client, world) {
    const authorizeAt = new URL(await authorize(world, {}));
    return {
      authorize: authorizeAt.origin + authorizeAt.pathname,
      fhirVersion: await client.getFhirVersion(),
      challenge: authorizeAt.searchParams.get("code_challenge_method"),
    };
  },
  async "sign-in"(_client, world) {
    const session = {};
    const callback = new URL(await callbackFrom(await authorize(world, session)));
    const signedIn = await smart(page(callback.pathname + callback.search, session), {}).ready();
    return { id: (await signedIn.request(`Patient/${world.patient}`)).id };
  },
  search: async (client, { patient }) => set(await client.request(`Encounter?patient=${patient}`)),
  // `patient.request` makes the search of the signed-in context's patient, by the statement's searchParam.
  context: async (client) => set(await client.patient.request("Encounter")),
  "post-search": async (client, { patient }) =>
    set(await client.request({ url: "Encounter/_search", method: "POST", body: `patient=${patient}`, headers: FORM })),
  async read(client, { patient, observation }) {
    return { patient: (await client.patient.read()).id, observation: (await client.request(observation)).id };
  },
  async paging(client, { long }) {
    const pages = await client.request(`Observation?patient=${long}&_count=25`, { pageLimit: 0 });
    return { pages: pages.length, total: pages[0].total, ids: pages.flatMap((page) => set(page).ids) };
  },
  everything: async (client, { patient }) => set(await client.request(`Patient/${patient}/$everything`)),
  batch: async (client, { patient }) =>
    batchSeen(
      await client.request({ url: "/", method: "POST", body: JSON.stringify(batchOf(patient)), headers: FHIR_JSON }),
    ),
  compartment: async (client, { patient }) => set(await client.request(`Patient/${patient}/Encounter`)),
  totals: async (client, { long }) => ({
    total: (await client.request(`Observation?patient=${long}&_summary=count`)).total,
  }),
  forbidden: (client, { stranger }) => failure(client.request(`Encounter?patient=${stranger}`)),
  "not-found": (client) => failure(client.request("Observation/nothing-of-this-id")),
  "too-many": (_client, { patient, limited }) => failure(client(limited).request(`Encounter?patient=${patient}`)),
  unavailable: (client, { patient }) => failure(client.request(`Encounter?patient=${patient}`)),
  async partial(client, { patient }) {
    const url = `AllergyIntolerance?patient=${patient}`;
    const { body, response } = await client.request({ url, includeResponse: true });
    const flat = await client.request(url, { flat: true });
    return {
      ids: set(body).ids,
      header: response.headers.get("connect-care-sources"),
      tags: tagsOf(body),
      outcomes: outcomesIn(resourcesOf(body)),
      inLists: outcomesIn(flat),
    };
  },
});
