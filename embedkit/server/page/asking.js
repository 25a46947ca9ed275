// The dialog that asks for the access token.

import { h } from "./dom.js";
import { t } from "./language.js";

/** Ask until something that could be a token is entered; `refused` says that the last one was not taken. */
export function askForToken(refused) {
  return new Promise((resolve) => {
    const wrong = h("p", { id: "access-wrong", class: "wrong", role: "alert" }, refused && t("accessWrong"));
    const input = h("input", {
      id: "access",
      type: "password",
      autocomplete: "off",
      required: true,
      "aria-describedby": "access-lead access-wrong",
    });
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "access-title" }, t("accessTitle")),
      h("p", { id: "access-lead" }, t("accessLead")),
      h("label", { for: "access" }, t("accessField")),
      input,
      wrong,
      h("button", { type: "submit", class: "button primary" }, t("accessSend")),
    );
    const dialog = h("dialog", { class: "access", "aria-labelledby": "access-title" }, form);
    dialog.addEventListener("close", () => dialog.isConnected && dialog.showModal()); // nothing can be shown without it
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (!/^[\x21-\x7e]+$/.test(text)) {
        wrong.textContent = t("accessWrong"); // a header could not carry it
        return;
      }
      dialog.remove();
      resolve(text);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
