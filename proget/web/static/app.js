// Enhances pages that work without it: buttons that copy what stands beside
// them, a filter that applies itself, uploads that show how far they are, forms that are
// sent once, and pages that keep themselves current.
"use strict";

function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const label = button.textContent;
  navigator.clipboard.writeText(text).then(
    () => { button.textContent = "Copied"; },
    () => { button.textContent = "Press Ctrl+C"; },
  ).finally(() => setTimeout(() => { button.textContent = label; }, 1500));
}

// enhance does so for what is in the page now.
function enhance() {
  // Browsers offer the clipboard to pages that came over https only.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    }
  }
  for (const box of document.querySelectorAll("input[data-submit]")) {
    box.addEventListener("change", () => box.form.requestSubmit());
  }
  for (const form of document.querySelectorAll("form[data-progress]")) {
    form.addEventListener("submit", upload);
  }
}

// upload sends a form with a file and tells how far it is: of how much, how fast,
// and for how much longer. The page that answers takes the place of this one.
function upload(event) {
  const form = event.target;
  const line = form.querySelector(".progress");
  const began = performance.now();
  const request = new XMLHttpRequest();
  const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1) + " MiB";
  const failed = (why) => {
    line.lastElementChild.textContent = why;
    form.querySelector("button").disabled = false;
  };
  event.preventDefault();
  request.upload.onprogress = ({ loaded, total }) => {
    const rate = loaded / Math.max(performance.now() - began, 1) * 1000; // bytes a second
    line.querySelector("progress").value = total ? loaded / total : 0;
    line.lastElementChild.textContent = loaded < total
      ? `${Math.floor(100 * loaded / total)} % of ${mebibytes(total)}, ${mebibytes(rate)}/s, ${Math.ceil((total - loaded) / rate)} s left`
      : "Uploaded; processing…";
  };
  request.onload = () => {
    const next = new DOMParser().parseFromString(request.responseText, "text/html").getElementById("main");
    if (request.status < 300) return location.assign(request.responseURL);
    if (!next) return failed(`The server answered ${request.status} ${request.statusText}.`); // it was a proxy in front
    document.getElementById("main").replaceChildren(...next.childNodes);
    enhance();
  };
  request.onerror = () => failed("The connection was lost. Upload the file again.");
  request.open("POST", form.action);
  request.send(new FormData(form));
  form.querySelector("button").disabled = true;
  line.hidden = false;
}

// edited reports whether a field differs from what the page came with.
function edited(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (!field.options) return field.value !== field.defaultValue;
  return field.selectedIndex !== Math.max([...field.options].findIndex((option) => option.defaultSelected), 0);
}

// occupied reports whether its reader is about something in the page: a field, a
// selection.
function occupied(main) {
  const busy = main.contains(document.activeElement) && document.activeElement !== main;
  return document.hidden || busy || !getSelection().isCollapsed || [...main.querySelectorAll("input, select, textarea")].some(edited);
}

// refresh puts what the page says now in the place of what it said, and leaves
// alone what its reader is about; open details stay open. A page that no longer changes
// is loaded once more, whole, and is then left alone.
async function refresh() {
  const main = document.getElementById("main");
  if (occupied(main)) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const next = page.getElementById("main");
  if (occupied(main)) return; // by now
  if (response.redirected || (response.status < 500 && next && !page.body.dataset.refresh)) return location.reload(); // a redirect is most often to sign in
  if (!next || next.innerHTML === main.innerHTML) return;
  document.title = page.title; // it may be that of an error
  for (const detail of main.querySelectorAll("details[open][id]")) {
    next.querySelector("#" + CSS.escape(detail.id))?.setAttribute("open", "");
  }
  const scrolled = [...main.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  main.replaceChildren(...next.childNodes);
  main.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] ?? 0; });
  enhance();
}

// A form that was sent is not sent again, by a double click, before its answer has
// come. After some seconds it may be: its sender may have stopped waiting.
const sent = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return; // to search twice does no harm, and upload sees to itself
  if (sent.has(form)) return event.preventDefault();
  sent.add(form);
  const release = () => sent.delete(form);
  setTimeout(release, 10000);
  addEventListener("pagehide", release, { once: true }); // the browser may come back to the page as it is
});

enhance();
const every = Number(document.body.dataset.refresh);
if (every) {
  const again = () => refresh().catch(() => {}).finally(() => setTimeout(again, every * 1000)); // a server that is away comes back, or another answers
  setTimeout(again, every * 1000);
}
