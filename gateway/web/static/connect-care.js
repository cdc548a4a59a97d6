// What a page does besides being read: NHS components (error summaries take the focus, and so on), and nothing stale.
// Without scripts every page can be read and used.
import { initAll } from "./nhsuk/nhsuk-frontend.js";

document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
initAll();

// A page that the browser kept and shows again (back button) may hold what may no longer be shown: ask again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// Whoever signs out in one window has signed out in all of them: what the others show goes as well.
const sessions = new BroadcastChannel("connect-care-sessions");
sessions.addEventListener("message", () => window.location.reload());
if (document.querySelector("[data-signed-out]")) sessions.postMessage("signed out");

// A record doesn't outlast the right to see it: when that is over, the page is asked for again, and says so.
const until = document.querySelector("[data-until]");
if (until) {
  const left = Date.parse(until.dataset.until) - Date.now();
  window.setTimeout(() => window.location.reload(), Math.min(Math.max(left, 0) + 1000, 2 ** 31 - 1));
}
