// Enhances pages that work without it: buttons that copy what stands beside
// them, and a filter that applies itself.
"use strict";

function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const label = button.textContent;
  navigator.clipboard.writeText(text).then(
    () => { button.textContent = "Copied"; },
    () => { button.textContent = "Press Ctrl+C"; },
  ).finally(() => setTimeout(() => { button.textContent = label; }, 1500));
}

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
