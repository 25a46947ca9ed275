// The languages of the page: one module of strings each, the choice remembered in this browser.

import en from "./language/en.js";
import ko from "./language/ko.js";

const LANGUAGES = { en, ko };
const KEY = "embedkit.language";

let code = remembered() ?? preferred();
let ofWords = false;

function remembered() {
  try {
    const stored = localStorage.getItem(KEY);
    return Object.hasOwn(LANGUAGES, stored ?? "") ? stored : null;
  } catch {
    return null; // a browser that stores nothing
  }
}

function preferred() {
  const wanted = navigator.languages?.length ? navigator.languages : [navigator.language ?? "en"];
  return wanted.map((each) => each.split("-")[0]).find((each) => Object.hasOwn(LANGUAGES, each)) ?? "en";
}

/** The code of the language in use. */
export const language = () => code;

/** All languages: `[[code, its own name], ...]`. */
export const languages = () => Object.entries(LANGUAGES).map(([each, strings]) => [each, strings.languageName]);

/** Use a language from now on. */
export function setLanguage(wanted) {
  code = wanted;
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // it is used, though not remembered
  }
}

/** Speak of words from now on, or of items: where a string says what tokens are, `...OfWords` is its other form. */
export function speakOfWords(yes) {
  ofWords = yes;
}

/** The string called `key`, its {names} filled in; a string of many forms goes by `values.count`. */
export function t(key, values = {}) {
  const strings = LANGUAGES[code];
  let text = (ofWords && strings[`${key}OfWords`]) || strings[key];
  if (typeof text === "object") text = text[new Intl.PluralRules(code).select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, field) =>
    typeof values[field] === "number" ? number(values[field]) : values[field],
  );
}

/** A count, written the language's way. */
export const number = (value) => new Intl.NumberFormat(code).format(value);

/** A score, in three digits that matter; a count among scores stays whole. */
export const score = (value) =>
  Number.isInteger(value)
    ? number(value)
    : new Intl.NumberFormat(code, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 }).format(value);
