// What a page does besides being read: NHS components (error summaries take the focus, and so on), and nothing stale.
// Without scripts every page can be read and used.
import { initAll } from "./nhsuk/nhsuk-frontend.js";

document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
initAll();

// A page that the browser kept and shows again (back button) may hold what may no longer be shown: ask again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

// Whoever signs out in one window has signed out in all of them: what the others show goes as well
// (connect-care-ends.js).
if (document.querySelector("[data-signed-out]")) {
  new BroadcastChannel("connect-care-sessions").postMessage("signed out");
}
