// When a page is over: nothing that it shows outlasts the session, the permission or the patient's word. It says so two
// minutes before where that can be known, and asks the gateway again and again, which is no look and prolongs nothing.
// It runs before the page is whole: a record comes in parts, and may be over before the last one.
const SECOND = 1000;
const WARNS = 120 * SECOND;
const EVERY = 30 * SECOND;
const EVERY_NEAR_THE_END = 5 * SECOND;
const PATIENCE = 5 * SECOND;

const root = document.documentElement;
const region = document.querySelector("[data-asks]");
let endsAt = performance.timeOrigin + region.dataset.seconds * SECOND;
let asked = Date.now();
let asking = null;
let asksAgain = false;
let said = "";
let before = null;
let isOver = false;

async function answer() {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const got = await fetch(region.dataset.asks, { cache: "no-store", redirect: "error", signal });
    const told = got.ok ? await got.json() : null;
    return told?.open === false || Number.isFinite(told?.seconds) ? told : null;
  } catch {
    return null;
  }
}

async function ask() {
  asked = Date.now();
  heard(await answer(), asked);
}

// One question at a time; whoever asks meanwhile may know of something newer, so that it is asked once more.
function askOnce() {
  asksAgain = asking !== null;
  asking ??= ask().finally(() => {
    asking = null;
    if (asksAgain && !isOver) askOnce();
  });
}

// Where nobody can say, the page stays until it was to be over, and not longer.
function heard(told, at) {
  if (isOver) return;
  if (told?.open === false) close(told.why);
  else if (told) goOn(told, at);
  else if (Date.now() >= endsAt) close("session");
}

function goOn(told, at) {
  endsAt = at + told.seconds * SECOND;
  if (Date.now() >= endsAt) return;
  root.classList.remove("cc-concealed");
  say(endsAt - Date.now() <= WARNS ? told.ends : "");
}

function say(what) {
  if (what === said) return;
  said = what;
  const hadFocus = region.contains(document.activeElement);
  region.replaceChildren(...(what ? [copyOf(`cc-before-${what}`)] : []));
  if (hadFocus && !what) (before ?? main()).focus();
}

function main() {
  const found = document.getElementById("maincontent");
  found.tabIndex = -1;
  return found;
}

function copyOf(id) {
  return document.getElementById(id).content.cloneNode(true);
}

// Everything goes, and what still comes with it; what is left says why, and has the focus, so that it is read out.
function close(why) {
  isOver = true;
  window.clearInterval(ticking);
  window.stop();
  document.body.replaceChildren(copyOf(document.getElementById(`cc-over-${why}`) ? `cc-over-${why}` : "cc-over-session"));
  root.classList.remove("cc-concealed");
  const heading = document.querySelector("h1");
  document.title = `${heading.textContent} - Connect Care`;
  window.scrollTo(0, 0);
  heading.focus();
}

// When its time is over it is asked once more, for another window may have gone on; until that is known nothing is seen.
// A machine's clock that was put back would keep the page open, and unasked, for as long: so it is asked then as well.
function tick() {
  const now = Date.now();
  const every = now >= endsAt - WARNS ? EVERY_NEAR_THE_END : EVERY;
  if (now >= endsAt) root.classList.add("cc-concealed");
  const isDue = now >= endsAt || (now >= endsAt - WARNS && !said) || Math.abs(now - asked) >= every;
  if (isDue && (now >= endsAt - WARNS || document.visibilityState === "visible")) askOnce();
}

function cameBack() {
  if (isOver || document.visibilityState !== "visible") return;
  if (Date.now() >= endsAt) root.classList.add("cc-concealed");
  askOnce();
}

async function stay(event) {
  event.preventDefault();
  const form = event.target;
  await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
  askOnce();
}

const ticking = window.setInterval(tick, SECOND);
region.addEventListener("submit", stay);
document.addEventListener("visibilitychange", cameBack);
document.addEventListener("focusin", (event) => {
  if (!region.contains(event.target)) before = event.target;
});
for (const name of ["focus", "pageshow"]) window.addEventListener(name, cameBack);

// Whoever signs out in one window has signed out in all of them.
new BroadcastChannel("connect-care-sessions").addEventListener("message", () => isOver || close("session"));
