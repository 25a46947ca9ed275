// The page in English.

export default {
  languageName: "English",
  languageChoice: "Language",
  skip: "Skip to the content",
  sections: "Sections",
  home: "embedkit, to the start",

  // sections
  searchTitle: "What lies near what?",
  searchLead: "{tokens} items as vectors of {size} numbers. Type a name to see what lies near it.",
  searchLeadKeys: "{tokens} items and {keys} users as vectors of {size} numbers. Type a name to see what lies near it.",
  recommend: "Recommend",
  similar: "Neighbours",
  analogy: "Analogies",
  map: "Map",

  // searching
  search: "Search",
  searchHint: "Type a name or an id",
  items: "Items",
  users: "Users",
  found: { one: "{count} match. Use the arrow keys.", other: "{count} matches. Use the arrow keys." },
  noneFound: "Nothing is called that.",
  suggestions: "To begin with",
  frequentItems: "Frequent items",
  someUsers: "Users with long histories",
  timesSeen: { one: "seen once", other: "seen {count} times" },
  historySize: { one: "{count} item", other: "{count} items" },
  model: "Model",
  version: "Version",
  trainer: "Trained by",
  vectorSize: "Vector size",

  // neighbours
  similarTitle: "Neighbours",
  similarLead:
    "The items whose vectors point the same way. A score of 1 means the same direction, 0 nothing in common.",
  similarPick: "Item",
  similarTo: "Neighbours of {name}",
  onMap: "Show on the map",
  recommendFrom: "Recommend from this item",

  // analogies
  analogyTitle: "Analogies",
  analogyLead: "A is to B as C is to what? Pick three.",
  analogyA: "A",
  analogyB: "is to B",
  analogyC: "as C is to …",
  analogyOf: "{a} is to {b} as {c} is to …",
  analogyEmpty: "Pick A, B and C: the answers appear here.",

  // recommendations
  recommendTitle: "Recommendations",
  recommendLead:
    "Pick a user, or begin with an empty history. Add and drop items: what is recommended follows at once.",
  recommendPick: "User",
  recommendFor: "Recommended to {name}",
  recommendFromHistory: "Recommended from this history",
  history: "History",
  historyOf: { one: "{count} item", other: "{count} items" },
  historyEmpty: "The history is empty. Add an item, or pick a user.",
  historyAll: "Show all {count}",
  historyAdd: "Add an item",
  historyDrop: "Drop {name}",
  historyDropped: "{name} dropped.",
  historyAdded: "{name} added.",
  historyNew: "added",
  historyReset: "Back to the user’s own history",
  historyEdited: "Edited: scored from the items below.",
  addToHistory: "Add {name} to the history",
  seen: "Recommend what is in the history too",
  fallback: "Nothing is known of this user: these are the most frequent items.",
  unexplained: "Learned as a whole: no single item explains the scores. Add or drop an item to see reasons.",
  latest: "This history is long: scored from its latest {count} items.",
  because: "Because of {names}",
  becauseList: "What each item of the history adds to the score",
  isNew: "new",
  up: "up {count}",
  down: "down {count}",

  // the map
  mapTitle: "Map",
  mapLead:
    "All items on a plane, near ones together. Drag to move, scroll or pinch to zoom; pick an item to see its neighbours.",
  mapPick: "Find an item on the map",
  mapCanvas: "Map of {count} items",
  mapOf: "Map of {count} items, made with {method}",
  mapPart: "The {count} most frequent items, laid out with {method}",
  mapMaking: "The map is being made. It appears here by itself.",
  mapEmpty: "Pick an item on the map, or find it by name.",
  mapUser: "{name} on the map",
  mapHistory: "History",
  mapRecommended: "Recommended",
  mapWhy: "Why these",
  mapBack: "Back to the history",
  mapMissing: "{name} is not among the items drawn here.",
  mapGroups: "Groups found on the map: press one to see it alone",
  mapIn: "Zoom in",
  mapOut: "Zoom out",
  mapAll: "Show all",

  // lists
  more: "Show more",
  results: { one: "{count} result", other: "{count} results" },
  nothing: "Nothing comes out of this.",

  // states
  loading: "Loading",
  failed: "That did not work",
  unreachable: "The server does not answer. It may have stopped, or the network is down.",
  busy: "Too many requests at once. Wait a moment and try again.",
  retry: "Try again",
  unknownPage: "There is nothing at this address.",
  noKeys: "This model knows no users, so it recommends to nobody.",
  toStart: "To the start",

  // the access token
  accessTitle: "This server asks for an access token",
  accessLead: "Whoever started the server has it. It is kept in this tab until it is closed.",
  accessField: "Access token",
  accessWrong: "That token was refused.",
  accessSend: "Continue",

  // where tokens are words
  searchLeadOfWords: "{tokens} words as vectors of {size} numbers. Type a word to see what lies near it.",
  itemsOfWords: "Words",
  frequentItemsOfWords: "Frequent words",
  similarLeadOfWords:
    "The words whose vectors point the same way. A score of 1 means the same direction, 0 nothing in common.",
  similarPickOfWords: "Word",
  recommendFromOfWords: "Recommend from this word",
  mapLeadOfWords:
    "All words on a plane, near ones together. Drag to move, scroll or pinch to zoom; pick a word to see its neighbours.",
  mapPickOfWords: "Find a word on the map",
  mapCanvasOfWords: "Map of {count} words",
  mapOfOfWords: "Map of {count} words, made with {method}",
  mapPartOfWords: "The {count} most frequent words, laid out with {method}",
  mapEmptyOfWords: "Pick a word on the map, or find it by typing.",
  mapMissingOfWords: "{name} is not among the words drawn here.",
};
